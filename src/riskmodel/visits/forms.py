"""The visit form: the columns of a file for visitors, their permitted values, and how formulas in cells are
disarmed.

Used by the writer of lists (`workbook`) and the reader (`returns`), so that both have the same columns.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from riskmodel.files import as_written as as_written
from riskmodel.files import harmless as harmless
from riskmodel.settings import ScreeningSettings
from riskmodel.vocabulary import RISK_KINDS

# What a visit can find: code -> (zh, en). The codes are those of `verifications.outcome`.
OUTCOMES: Final[dict[str, tuple[str, str]]] = {
    "risk_confirmed": ("存在风险，建议纳入监测程序", "risk found, proposed for monitoring"),
    "no_risk": ("未发现风险", "no risk found"),
    "risk_eliminated": ("风险已消除", "risk is gone"),
    "unreachable": ("未能见到", "nobody met"),
}


@dataclass(frozen=True)
class FormColumn:
    """One column of a file for visitors. width: in characters; fill: the visitor writes here; wrap: text over
    several lines."""

    name: str
    zh: str
    en: str
    width: float
    fill: bool = False
    wrap: bool = False

    @property
    def heading(self) -> str:
        """The heading in both languages, one a line."""
        return f"{self.zh}\n{self.en}"


# What the visitor reads, in the order of the sheet. No column shows which row is a random check.
READ: Final = (
    FormColumn("number", "序号", "No.", 5.5),
    FormColumn("township_code", "乡镇", "Township", 9.5),
    FormColumn("village_code", "村", "Village", 12.5),
    FormColumn("household_id", "户编号", "Household", 10, wrap=True),
    FormColumn("grade", "优先级", "Grade", 8),
    FormColumn("because", "优先依据", "Why this grade", 17, wrap=True),
    FormColumn("probability", "概率", "Probability", 11),
    FormColumn("reasons", "主要理由", "Reasons", 48, wrap=True),
    FormColumn("check", "核实什么", "What to check", 30, wrap=True),
    FormColumn("last_visit", "上次走访", "Last visit", 11),
)
# What the visitor fills in.
FILL: Final = (
    FormColumn("visited_on", "走访日期", "Visited on", 11.5, fill=True),
    FormColumn("outcome", "核实结果", "Outcome", 11, fill=True, wrap=True),
    FormColumn("risk_1", "风险一", "Risk 1", 8, fill=True, wrap=True),
    FormColumn("risk_2", "风险二", "Risk 2", 8, fill=True, wrap=True),
    FormColumn("risk_3", "风险三", "Risk 3", 8, fill=True, wrap=True),
    FormColumn("disagreement", "与理由不符", "Disagrees", 11.5, fill=True, wrap=True),
    FormColumn("visitor", "走访组", "Team", 8, fill=True),
    FormColumn("note", "备注", "Note", 13, fill=True, wrap=True),
)
# The first two columns of the workbook of returned rows.
RETURNED_HEADINGS: Final = ("原行号\nRow", "退回原因\nWhat is wrong")
RISK_COLUMNS: Final = ("risk_1", "risk_2", "risk_3")


def team_key(code: str) -> str:
    """A team's code as it is compared: full-width forms, case and blanks make no difference. Empty: no team
    was given."""
    return "".join(unicodedata.normalize("NFKC", code).casefold().split())


def teams_of(settings: ScreeningSettings) -> dict[str, str]:
    """The teams that the settings name: `team_key` -> code. Empty where they name none: then any code is
    taken."""
    return {team_key(code): code for code in (*settings.teams, *settings.quotas.teams.values())}


def choices(settings: ScreeningSettings, language: str) -> dict[str, dict[str, str]]:
    """Options of the drop-downs in a language: outcome, risk and disagreement, each code -> words."""
    place = 0 if language == "zh" else 1
    return {
        "outcome": {code: pair[place] for code, pair in OUTCOMES.items()},
        "risk": {code: pair[place] for code, pair in RISK_KINDS.items()},
        "disagreement": {
            code: label.zh if language == "zh" else label.en for code, label in settings.disagreements.items()
        },
    }


def codes_of(settings: ScreeningSettings) -> dict[str, Mapping[str, str]]:
    """Every way to write a choice (code, zh, en, the contract's Chinese value) -> code; for outcome, risk and
    disagreement."""
    known: dict[str, dict[str, str]] = {"outcome": {}, "risk": {}, "disagreement": {}}
    for language in ("zh", "en"):
        for kind, words in choices(settings, language).items():
            for code, text in words.items():
                known[kind][text] = known[kind][code] = code
    known["outcome"] |= {
        "纳入监测": "risk_confirmed",
        "无风险": "no_risk",
        "风险消除": "risk_eliminated",
        "未能联系": "unreachable",
    }
    return dict(known)
