"""The store: what is kept of campaigns and of the divergences they found, and of triage."""

from __future__ import annotations

from db.campaigns import CampaignStore
from db.records import StoreError
from db.triage import TriageStore

__all__ = ["Store", "StoreError"]


class Store(CampaignStore, TriageStore):
    """An open database: what campaigns write, what people decide, and all that is asked."""
