"""The tables. Whoever changes one adds a migration; a test compares the two."""

from db.schema.base import NAMING, REVISION, VERSION_TABLE, Base
from db.schema.campaigns import Campaign, CaseRow, Incident, Leg, Sample, campaign_legs
from db.schema.coverage import CodeMap, LegCode, Reached
from db.schema.findings import Bucket, Finding, Note, PrecedingRow, Signature, TraceRow, Vote
from db.schema.fleet import FleetRow, SliceRow
from db.schema.triage import Audit, Cell, Kinship, Mute, Retest, audit_buckets

__all__ = [
    "NAMING",
    "REVISION",
    "VERSION_TABLE",
    "Audit",
    "Base",
    "Bucket",
    "Campaign",
    "CaseRow",
    "Cell",
    "CodeMap",
    "Finding",
    "FleetRow",
    "Incident",
    "Kinship",
    "Leg",
    "LegCode",
    "Mute",
    "Note",
    "PrecedingRow",
    "Reached",
    "Retest",
    "Sample",
    "Signature",
    "SliceRow",
    "TraceRow",
    "Vote",
    "audit_buckets",
    "campaign_legs",
]
