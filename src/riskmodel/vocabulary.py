"""The nouns of the work. One word a thing, everywhere: column, code, API, page.

Glossary (English · 中文 · what is meant here)

======================== ====================
============================================================================== household 农户 the unit that is
watched, scored and visited
as-of date                截止日（评分日）       the day whose knowledge is used; nothing known later enters
known on                  入库日                the day the county's data could first show a row
occurred on               发生日                the day it happened
cohort 筛查范围 households in force at the as-of date, with a member, that are not monitored then label
horizon 预测期 months after the as-of date in which a confirmation counts (3, 6, 12) relapse 返贫致贫风险确认
a verification that confirms the risk within the horizon; not a legal finding monitored 监测对象 the newest
decisive verification known is a confirmation monitoring line 监测线 dated income figure of an area, yuan a
person and year margin 原始分 the raw sum of the model, before calibration; the order of the list probability
概率 the calibrated margin: of 100 households with 10 %, about 10 relapse band 波动区间 10-90 % of the
probability across ensemble members: model instability risk kind 风险类型 illness, disability, education, … :
the policy's own list reason 理由 a sentence with value, period and comparison: what moved the score lead 线索
a hint from a person or a rule; always visited, whatever the score verification 入户核实 a person's visit and
its outcome; the only thing that decides anything random check 随机抽查 a visit drawn by chance, so that
misses can be estimated capacity 走访能力 visits that a county can give in a cycle
precision at k            前k户命中率           share of the k first households that relapse
recall at k               前k户覆盖率           share of all relapses that are among the first k
calibration               校准                  agreement of probabilities with observed shares
champion                  在用模型              the model in force; a challenger is a candidate for its place
grade 优先级 red, orange, yellow, none: order of verification, from rules and capacity release 发布包 the
sealed folder that the service loads: model, catalogue, policy, tables of explanation, signed casebook
走访台账 lists, visits, scores and audit, in SQL
guarantees 两不愁三保障 food and clothing, schooling, medical cover, housing, and drinking water
======================== ====================
==============================================================================
"""

from __future__ import annotations

from typing import Final

SIGNAL_ZH: Final = "核实优先级信号，非认定结论"
SIGNAL_EN: Final = "A priority signal for verification, not a finding about anybody"

# The risk kinds of the policy, in its own order: code -> (zh, en).
RISK_KINDS: Final[dict[str, tuple[str, str]]] = {
    "illness": ("因病", "illness"),
    "disability": ("因残", "disability"),
    "education": ("因学", "education"),
    "disaster": ("因灾", "disaster"),
    "accident": ("因意外事故", "accident"),
    "industry": ("因产业项目失败", "failed industry project"),
    "employment": ("因务工就业不稳", "unstable work"),
    "labour": ("缺劳动力", "lack of labour"),
    "housing": ("因安全住房", "safe housing"),
    "water": ("因安全饮水", "safe drinking water"),
    "other": ("其他", "other"),
}

# Order of verification, most urgent first: code -> (zh, en).
GRADES: Final[dict[str, tuple[str, str]]] = {
    "red": ("红", "red"),
    "orange": ("橙", "orange"),
    "yellow": ("黄", "yellow"),
    "none": ("无", "none"),
}

# Kinds of leads, most urgent first: code -> (zh, en).
LEAD_KINDS: Final[dict[str, tuple[str, str]]] = {
    "guarantee": ("保障未达标", "failed guarantee"),
    "self_declared": ("农户自主申报", "self-declared"),
    "petition": ("信访", "petition"),
    "cadre": ("干部排查", "cadre's round"),
    "department": ("部门预警", "department's warning"),
    "media": ("媒体", "media"),
    "rule": ("部门规则", "department rule"),
}

COUNTY_DIGITS: Final = 6
TOWNSHIP_DIGITS: Final = 9
VILLAGE_DIGITS: Final = 12
