"""The data contract: tables come in here, are checked here, and are cut in time here."""

from riskmodel.tables.county import Tables, from_frames
from riskmodel.tables.findings import CheckReport, Finding
from riskmodel.tables.reading import check_tables, read_tables, tables_of

__all__ = ["CheckReport", "Finding", "Tables", "check_tables", "from_frames", "read_tables", "tables_of"]
