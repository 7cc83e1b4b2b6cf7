"""The page of all features for people, made from the catalogue: docs/features.zh.md and docs/features.md."""

from __future__ import annotations

from typing import Final, Literal

from riskmodel.features.catalogue import Catalogue, Feature, PartOfWhole
from riskmodel.features.definitions import definitions
from riskmodel.tables.schema import TABLES
from riskmodel.vocabulary import RISK_KINDS

Language = Literal["zh", "en"]

_FAMILIES: Final[dict[str, tuple[str, str, str, str]]] = {
    "income": (
        "收入",
        "钱从哪里来、稳不稳、靠谁挣、离监测线多远。人均按截止日在册成员计算。",
        "Income",
        (
            "How much, how steady, from which sources, and how far from the monitoring line. Per person: "
            "the members in force on the day."
        ),
    ),
    "expenditure": (
        "支出",
        "哪些钱非花不可，占收入多少。",
        "Expenditure",
        "Necessary spending, against income.",
    ),
    "illness": (
        "疾病与医疗负担",
        "报销之后自己付了多少、谁生病、离部门预警线多远。账单按发生日归入时间段，截止日之后才入库的不算。",
        "Illness",
        (
            "What is left to pay after insurance, who is ill, how near a department's threshold. Bills "
            "known after the day do not count."
        ),
    ),
    "disability": (
        "残疾",
        "只看截止日仍有效的残疾证。一、二级为重度。",
        "Disability",
        "Certificates in force on the day. Levels 1 and 2 are severe.",
    ),
    "household": (
        "家庭情况",
        "几口人、谁能干活、老小多少、住得怎样。年龄按周岁。",
        "Household",
        "Who lives together, who can work, old and young, the dwelling. Ages in completed years.",
    ),
    "guarantees": (
        "两不愁三保障与饮水",
        "以截止日有效的登记为准。任何一项未达标，规则线索都会提示，与模型分数无关。",
        "Guarantees",
        "As recorded in the version in force. A failing guarantee is a lead of its own, whatever the score.",
    ),
    "shocks": (
        "灾害与突发事件",
        "自家遇到的，和全村、全乡、全县遇到的，分开计算，并与家庭的暴露程度相乘。",
        "Shocks",
        "Shocks of the household and shocks of its area, kept apart, and combined with its exposure.",
    ),
    "employment": (
        "务工就业",
        "来自逐月务工台账，是最早的信号。台账上报有延迟，“目前”指每人最近一期的记录。",
        "Employment",
        (
            "From the monthly labour record, the earliest sign. Reports arrive late: “now” is each member's "
            "newest report."
        ),
    ),
    "assistance": (
        "帮扶措施",
        "分数是在现有帮扶之下的风险。识别之后才落实的措施，此前看不到。",
        "Assistance",
        (
            "The score is the risk given the help in place. Measures that answer an identification cannot "
            "be seen before it."
        ),
    ),
    "history": (
        "历史记录",
        "以前是否监测过、有没有线索、多久没人上门。只算截止日已经入库的。",
        "History",
        "Earlier monitoring, leads and visits, as far as they were known on the day.",
    ),
    "area": (
        "邻里与区域",
        "同村、同乡镇其他农户的情况，不含本户。不使用村的名称或编码。",
        "Area",
        (
            "How the other households of the village and township fare, without the household itself. The "
            "village's identity is not used."
        ),
    ),
    "freshness": (
        "数据新旧",
        "各部门数据多久没有更新。只用于提示数据可靠程度，一般不参与预测。",
        "Freshness",
        (
            "How old each department's newest record is. Shown beside the score; not offered to plans "
            "unless they name it."
        ),
    ),
    "assets": (
        "财产",
        "只有农户的查询授权在截止日仍有效时才能读取，否则为未知。",
        "Assets",
        "Readable only under an authorisation in force on the day; unknown otherwise.",
    ),
    "rules": (
        "部门预警规则",
        (
            "各部门现行规则，命中即为线索，不作为模型的输入。门槛、适用地区和出处见 "
            "`features/policy/department_rules.yaml`。"
        ),
        "Department rules",
        (
            "Rules in use. A hit is a lead; they are baselines and never predictors. Thresholds, places and "
            "sources: `features/policy/department_rules.yaml`."
        ),
    ),
}
WINDOWS: Final[dict[str, str]] = {
    "accounting window": "收支核算期",
    "12 whole months": "截至上月末的12个月",
    "24 whole months": "截至上月末的24个月",
    "6 whole months": "截至上月末的6个月",
    "months 24 to 13 before": "上月末往前第13至24个月",
    "6 months up to the newest record": "截至最近一条记录的6个月",
    "9 months up to the newest record": "截至最近一条记录的9个月",
    "15 months up to the newest record": "截至最近一条记录的15个月",
    "four quarters up to the newest record": "截至最近一条记录的四个季度",
    "last 3 months": "近3个月",
    "last 6 months": "近6个月",
    "last 12 months": "近12个月",
    "last 24 months": "近24个月",
    "3 months up to the newest report": "截至最近一期台账的3个月",
    "6 months up to the newest report": "截至最近一期台账的6个月",
    "newest report and the 3 months before": "最近一期台账及其前3个月",
    "running school year and the one before": "本学年（至截止日）及上一学年",
    "as of the day": "截止日",
    "all records": "全部记录",
    "newest query": "最近一次查询",
    "all queries": "全部查询",
}
_UNITS: Final[dict[str, tuple[str, str]]] = {
    "yuan": ("元", "yuan"),
    "yuan_per_person": ("元/人", "yuan a person"),
    "share": ("占比", "share"),
    "ratio": ("倍", "ratio"),
    "times": ("次", "times"),
    "items": ("项", "items"),
    "people": ("人", "people"),
    "months": ("个月", "months"),
    "quarters": ("个季度", "quarters"),
    "days": ("天", "days"),
    "years": ("岁", "years"),
    "visits": ("次", "visits"),
    "level": ("级", "level"),
    "mu": ("亩", "mu"),
    "km": ("公里", "km"),
    "flag": ("是/否", "yes/no"),
    "households": ("户", "households"),
}
_DIRECTIONS: Final = {
    "higher": ("越高越需关注", "higher"),
    "lower": ("越低越需关注", "lower"),
    "unclear": ("不预设方向", "not presumed"),
}
_FLAG_DIRECTIONS: Final = {
    "higher": ("“是”更需关注", "yes"),
    "lower": ("“否”更需关注", "no"),
    "unclear": ("不预设方向", "not presumed"),
}


def features_page(catalogue: Catalogue, language: Language) -> str:
    """The page as Markdown: every feature of the catalogue by family, in the catalogue's order, with what a
    county officer asks about it.
    """
    zh = language == "zh"
    functions = definitions(catalogue.own)
    counted = {status: len(catalogue.with_status(status)) for status in ("active", "trial", "rule")}
    lines = [_ZH_HEAD.format(**counted) if zh else _EN_HEAD.format(**counted)]
    for family, (name_zh, about_zh, name_en, about_en) in _FAMILIES.items():
        members = {name: one for name, one in catalogue.root.items() if one.family == family}
        if not members:
            continue
        lines += ["", f"## {name_zh if zh else name_en}", "", about_zh if zh else about_en, ""]
        if zh:
            lines += [
                "| 指标 | 单位 | 时间范围 | 数据来源 | 关注方向 | 风险类型 | 缺失时 | 理由中的说法 |",
                "|---|---|---|---|---|---|---|---|",
            ]
        else:
            lines += [
                "| feature | unit | window | sources | riskier when | risk | unknown when | formula |",
                "|---|---|---|---|---|---|---|---|",
            ]
        lines += [_row(name, one, functions[name].formula, language) for name, one in members.items()]
    lines += ["", _ZH_FOOT if zh else _EN_FOOT, ""]
    return "\n".join(lines)


def _row(name: str, feature: Feature, formula: str, language: Language) -> str:
    place = 0 if language == "zh" else 1
    directions = _FLAG_DIRECTIONS if feature.unit == "flag" else _DIRECTIONS
    window = WINDOWS.get(feature.window, feature.window) if language == "zh" else feature.window
    sources = (
        "、".join(TABLES[table].zh for table in feature.sources)
        if language == "zh"
        else ", ".join(feature.sources)
    )
    if language == "zh":
        sentence = feature.sentence.zh
        last = sentence.general
        if sentence.negative:
            negative = (
                sentence.negative.share if isinstance(sentence.negative, PartOfWhole) else sentence.negative
            )
            last += f"（为负时：{negative}）"
        last = last.replace("{value}", "…").replace("{yuan}", "…")
        label = f"{feature.label.zh}<br>`{name}`"
    else:
        last = " ".join(formula.split())
        label = f"{feature.label.en}<br>`{name}`"
    cells = [
        label,
        _UNITS[feature.unit][place],
        window,
        sources,
        directions[feature.riskier_when][place],
        RISK_KINDS[feature.risk_kind][place],
        getattr(feature.missing, language),
        last,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_ZH_HEAD: Final = """# 模型看哪些指标

<!-- 由 features/catalogue.yaml 生成，请勿手改：python -m riskmodel.features.page -->

本页列出筛查模型可以看到的全部指标：供模型使用的 {active} 项，只在方案点名时使用的 {trial} 项，部门规则 {rule} 项。分数只决定核实的先后，
不对任何农户下结论。

读表须知：

- **截止日**：只用截止日当天已经入库的记录。事情发生得再早，入库晚于截止日就不算；更正过的记录，从更正入库那天起才用新值。
- **缺失不等于零**：没有某个部门的数据，相关指标就是“未知”；有数据而该户没有记录时，只有确实等于零的才记为0，表中逐项写明。
- **医疗费用等算在哪一户**：医疗费用、残疾证、务工记录按截止日当天该成员所在的户计算；成员去世或迁出后不再计入原户，迁入他户后计入他户。
  收入按记录中的户编号计算。
- **收支核算期**：默认为截至上月末的12个月，可在 `features/policy/accounting.yaml` 按省、县、日期改为10月至次年9月。
  教育支出按学年算，学年从9月1日开始，也在该文件中。
- **政策数值的出处**：监测线、低保标准、可支配收入和部门门槛逐条写在 `features/policy/*.yaml`，带适用地区、生效日期和出处。其中全国可支配收入
  和全国低保平均标准还没有与公报核对，文件中标有 `verified: false`；凡是用到它们的地方（训练、模型说明、`--explain`）都会提示“未核对”。
  请用本县数值代替（数据目录中的 `policy` 表）。
- **关注方向**：训练方案要求时，模型只能朝这个方向使用该指标；“不预设方向”的由数据决定。
- **从不使用**：民族、宗教、姓名、编号、电话、村的名称和编码、核实人员，以及识别时或识别后写入的一切（对象类型、风险类型、识别后新增的帮扶和低保）。
  名单见 `features/denylist.yaml`。
- **查到原始记录**：`riskmodel features 数据目录 --as-of 日期 --explain 户编号` 给出每个数的计算公式和用到的每一条记录。"""

_EN_HEAD: Final = """# What the model looks at

<!-- Generated from features/catalogue.yaml, do not edit: python -m riskmodel.features.page -->

Every feature that a model may see: {active} offered to plans, {trial} only to plans that name them, {rule} department rules. The score
puts households in order for verification; it finds nothing about anybody.

How to read the tables:

- **The as-of date**: only records known on that day are used. What happened earlier and became known later does not count; a correction
  counts from the day it is known.
- **Unknown is not zero**: without a department's table its features are unknown (NaN). Where the table is there and has no row of the household,
  0 is used only where no row means none; see the column "unknown when".
- **Whose bill it is**: bills, certificates and work count for the household in which their person is in force on the as-of date. With a death
  or a move they leave the old household, and a move takes them to the new one. Income counts for the household that its row names.
- **Accounting window**: twelve whole months up to the end of the month before, or October to September; `features/policy/accounting.yaml`, by
  place and date. Cost of schooling is counted by school year, from 1 September; the same file.
- **Where figures come from**: monitoring lines, dibao standards, disposable income and departments' thresholds are in
  `features/policy/*.yaml`, each with place, first day and source. The national disposable income and the national average dibao standard
  have not been compared with the bulletins: they are marked `verified: false`, and training, the model record and `--explain` name them wherever
  they are used. Put your county's own over them (the `policy` table).
- **Riskier when**: where a plan asks for it, the model may use the feature in this direction only.
- **Never used**: ethnicity, religion, names, ids, phone numbers, the identity of a village, who visited, and everything written at or after
  identification. The list is `features/denylist.yaml`.
- **Back to the records**: `riskmodel features DIR --as-of DATE --explain HOUSEHOLD` shows the formula and every record behind a number."""

_ZH_FOOT: Final = "想加一项指标？见 [add-a-feature.md](add-a-feature.md)：写一个函数，加一条目录。"
_EN_FOOT: Final = "To add one: [add-a-feature.md](add-a-feature.md), one function and one entry."


def main() -> None:
    """Write both pages of the project around the working folder."""
    from riskmodel.features.catalogue import load_catalogue
    from riskmodel.project import Project

    project = Project.find()
    catalogue = load_catalogue(project)
    for language, name in (("zh", "features.zh.md"), ("en", "features.md")):
        (project.root / "docs" / name).write_text(features_page(catalogue, language), encoding="utf-8")  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
