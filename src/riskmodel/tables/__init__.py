"""The data contract: tables are read, checked and selected by time here."""

from riskmodel.tables.county import Tables, from_frames
from riskmodel.tables.findings import CheckReport, Finding
from riskmodel.tables.proposals import propose_mapping
from riskmodel.tables.quality import quality_report
from riskmodel.tables.quarantine import Quarantined, quarantine
from riskmodel.tables.reading import check_tables, checked_tables, read_tables, store_tables, tables_of
from riskmodel.tables.store import Stored

__all__ = [
    "CheckReport",
    "Finding",
    "Quarantined",
    "Stored",
    "Tables",
    "check_tables",
    "checked_tables",
    "from_frames",
    "propose_mapping",
    "quality_report",
    "quarantine",
    "read_tables",
    "store_tables",
    "tables_of",
]
