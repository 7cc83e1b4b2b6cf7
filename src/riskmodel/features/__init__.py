"""Features: `build(tables, as_of)` is the only door."""

from riskmodel.features.building import build, count_context
from riskmodel.features.catalogue import Catalogue, load_catalogue
from riskmodel.features.context import AreaContext
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.features.prepared import Prepared, prepare, prepare_records

__all__ = [
    "AreaContext",
    "Catalogue",
    "FeatureMatrix",
    "Prepared",
    "build",
    "count_context",
    "load_catalogue",
    "prepare",
    "prepare_records",
]
