"""Roles, and the caller that a key identifies: role, areas, purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Role -> what it is for, in zh and en.
ROLES: Final[Mapping[str, tuple[str, str]]] = {
    "analyst": ("分析人员：为研究模型而评分", "analyst: scores households to study the model"),
    "screener": ("核实人员：看清单、走访、记录结果", "screener: reads lists, visits, records what was found"),
    "case_system": ("业务系统：请求评分、读取清单", "case system: asks for scores, reads lists"),
    "auditor": ("审计人员：只看审计记录", "auditor: reads the audit only"),
    "operator": ("运维人员：看运行指标", "operator: reads the metrics of the running service"),
}
# Roles that read rows of households: their keys need areas. An operator reads nothing of an area, an auditor
# the audit as a whole.
ROLES_OF_AREAS: Final = ("analyst", "screener", "case_system")


@dataclass(frozen=True)
class Who:
    """Who is asking: what a key carries. areas: prefixes of area codes (province 2, prefecture 4, county 6,
    township 9, village 12 digits).

    csrf: what a session must send with every change; empty where the key itself came with the request.
    """

    key_id: str
    name: str
    role: str
    areas: tuple[str, ...]
    purpose: str
    expires_at: str
    csrf: str = ""
    session: str = ""

    def sees(self, area_code: str | None) -> bool:
        """Whether a village, township or county is wholly within the areas of the key; False for an unknown
        area.
        """
        return bool(area_code) and str(area_code).startswith(self.areas)
