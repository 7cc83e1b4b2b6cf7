"""The casebook: which lists were given out, what the visits found, and who saw or did what. In SQL,
append-only where it matters.
"""

from riskmodel.casebook.book import Casebook, Recorded, next_list, record
from riskmodel.casebook.results import Conflict

__all__ = ["Casebook", "Conflict", "Recorded", "next_list", "record"]
