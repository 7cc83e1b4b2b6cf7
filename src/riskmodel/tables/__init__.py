"""The data contract: tables come in here, are checked here, and are cut in time here."""

from riskmodel.tables.county import Tables, from_frames

__all__ = ["Tables", "from_frames"]
