"""Features of households as of a day; `build(tables, as_of)` is the entry point."""

from riskmodel.features.building import build, build_dates, count_context, warm_up
from riskmodel.features.catalogue import Catalogue, load_catalogue
from riskmodel.features.context import AreaContext
from riskmodel.features.denylist import Denylist
from riskmodel.features.leaks import LeakReport, leaks
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.features.page import features_page
from riskmodel.features.prepared import Prepared, prepare, prepare_records
from riskmodel.features.tracing import ValueTrace, explain_value

__all__ = [
    "AreaContext",
    "Catalogue",
    "Denylist",
    "FeatureMatrix",
    "LeakReport",
    "Prepared",
    "ValueTrace",
    "build",
    "build_dates",
    "count_context",
    "explain_value",
    "features_page",
    "leaks",
    "load_catalogue",
    "prepare",
    "prepare_records",
    "warm_up",
]
