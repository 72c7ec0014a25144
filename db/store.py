"""The store: what is kept of campaigns and of the divergences they found, and of triage."""

from __future__ import annotations

from db.campaigns import CampaignStore
from db.fleet import FleetStore
from db.records import StoreError
from db.triage import TriageStore

__all__ = ["Store", "StoreError"]


class Store(CampaignStore, TriageStore, FleetStore):
    """An open database: what campaigns and fleets write, what people decide, and all
    that is asked."""
