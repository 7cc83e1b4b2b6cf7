"""riskmodel puts rural households in order for human verification of the risk of (re)lapsing into poverty. A
signal, never a verdict.

The public names; each is imported when it is first used, so that `import riskmodel` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riskmodel.errors import UserError as UserError
    from riskmodel.features import FeatureMatrix as FeatureMatrix
    from riskmodel.project import Project as Project
    from riskmodel.tables import Tables as Tables
    from riskmodel.workflow import add_key as add_key
    from riskmodel.workflow import backup as backup
    from riskmodel.workflow import build_features as build_features
    from riskmodel.workflow import changes as changes
    from riskmodel.workflow import check_tables as check_tables
    from riskmodel.workflow import close_cycle as close_cycle
    from riskmodel.workflow import compare as compare
    from riskmodel.workflow import cycles as cycles
    from riskmodel.workflow import disagreements as disagreements
    from riskmodel.workflow import exit_review as exit_review
    from riskmodel.workflow import explain as explain
    from riskmodel.workflow import export_audit as export_audit
    from riskmodel.workflow import export_households as export_households
    from riskmodel.workflow import hunt_leaks as hunt_leaks
    from riskmodel.workflow import init_project as init_project
    from riskmodel.workflow import keep_importance as keep_importance
    from riskmodel.workflow import list_files as list_files
    from riskmodel.workflow import list_keys as list_keys
    from riskmodel.workflow import load_model as load_model
    from riskmodel.workflow import open_project as open_project
    from riskmodel.workflow import policy_notes as policy_notes
    from riskmodel.workflow import promote as promote
    from riskmodel.workflow import propose_mapping as propose_mapping
    from riskmodel.workflow import quality_report as quality_report
    from riskmodel.workflow import quarantine as quarantine
    from riskmodel.workflow import read_tables as read_tables
    from riskmodel.workflow import recall as recall
    from riskmodel.workflow import record as record
    from riskmodel.workflow import release as release
    from riskmodel.workflow import release_key as release_key
    from riskmodel.workflow import replay as replay
    from riskmodel.workflow import revoke_key as revoke_key
    from riskmodel.workflow import rollback as rollback
    from riskmodel.workflow import run_file as run_file
    from riskmodel.workflow import score as score
    from riskmodel.workflow import screening_list as screening_list
    from riskmodel.workflow import serve as serve
    from riskmodel.workflow import store_tables as store_tables
    from riskmodel.workflow import synthesise as synthesise
    from riskmodel.workflow import synthetic_county as synthetic_county
    from riskmodel.workflow import trace_features as trace_features
    from riskmodel.workflow import train as train
    from riskmodel.workflow import verify_audit as verify_audit
    from riskmodel.workflow import withdraw as withdraw
    from riskmodel.workflow import write_list as write_list
    from riskmodel.workflow import write_list_by_township as write_list_by_township
    from riskmodel.workflow import write_review as write_review
    from riskmodel.workflow import write_scores as write_scores

__version__ = "0.1.0"

_HOMES = {
    "UserError": "riskmodel.errors",
    "FeatureMatrix": "riskmodel.features",
    "Project": "riskmodel.project",
    "Tables": "riskmodel.tables",
    "add_key": "riskmodel.workflow",
    "backup": "riskmodel.workflow",
    "build_features": "riskmodel.workflow",
    "changes": "riskmodel.workflow",
    "check_tables": "riskmodel.workflow",
    "close_cycle": "riskmodel.workflow",
    "compare": "riskmodel.workflow",
    "cycles": "riskmodel.workflow",
    "disagreements": "riskmodel.workflow",
    "exit_review": "riskmodel.workflow",
    "explain": "riskmodel.workflow",
    "export_audit": "riskmodel.workflow",
    "export_households": "riskmodel.workflow",
    "hunt_leaks": "riskmodel.workflow",
    "init_project": "riskmodel.workflow",
    "keep_importance": "riskmodel.workflow",
    "list_files": "riskmodel.workflow",
    "list_keys": "riskmodel.workflow",
    "load_model": "riskmodel.workflow",
    "open_project": "riskmodel.workflow",
    "policy_notes": "riskmodel.workflow",
    "promote": "riskmodel.workflow",
    "propose_mapping": "riskmodel.workflow",
    "quality_report": "riskmodel.workflow",
    "quarantine": "riskmodel.workflow",
    "read_tables": "riskmodel.workflow",
    "recall": "riskmodel.workflow",
    "record": "riskmodel.workflow",
    "release": "riskmodel.workflow",
    "release_key": "riskmodel.workflow",
    "replay": "riskmodel.workflow",
    "revoke_key": "riskmodel.workflow",
    "rollback": "riskmodel.workflow",
    "run_file": "riskmodel.workflow",
    "score": "riskmodel.workflow",
    "screening_list": "riskmodel.workflow",
    "serve": "riskmodel.workflow",
    "store_tables": "riskmodel.workflow",
    "synthesise": "riskmodel.workflow",
    "synthetic_county": "riskmodel.workflow",
    "trace_features": "riskmodel.workflow",
    "train": "riskmodel.workflow",
    "verify_audit": "riskmodel.workflow",
    "withdraw": "riskmodel.workflow",
    "write_list": "riskmodel.workflow",
    "write_list_by_township": "riskmodel.workflow",
    "write_review": "riskmodel.workflow",
    "write_scores": "riskmodel.workflow",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'riskmodel' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
