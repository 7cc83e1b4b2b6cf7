"""The data contract, as data: every table, column, code, bound and key that is accepted.

The names are fixed; counties depend on them. A column marked optional may be absent or hold missing values;
in every other column each row has a value. `docs/data-contract.md` is the same in prose, generated from here.

This is the only description of the contract. The parsers of files (`values`, `checks`), of records in memory
(`records`) and of requests to the service derive from it: types, codes with their Chinese values, bounds,
digits of area codes, the id rule, the range of dates and what the columns of one row must satisfy together.
`describe` gives all of it as plain data.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from riskmodel.vocabulary import COUNTY_DIGITS, TOWNSHIP_DIGITS, VILLAGE_DIGITS

Kind = Literal["id", "area", "date", "money", "integer", "number", "boolean", "code", "codes", "text"]

# The id rule: 1 to 64 letters, digits and `_ - . :`. A number that a spreadsheet has shortened is no id,
# although its signs are allowed: it has decimals or a sign before the exponent (`3.30102E+17`, `1.2e5`),
# which no hexadecimal pseudonym has (`6517185e3949`). Signs alone (`..`) are no id either: in an address they
# mean another folder.
ID_PATTERN: Final = r"[_.:-]{0,63}[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
ID_LENGTH: Final = 64
ID_SHORTENED: Final = r"[+-]?[0-9]+\.[0-9]*[eE][+-]?[0-9]+|[+-]?[0-9]+[eE][+-][0-9]+"
ID_DECIMAL: Final = r"[0-9]+\.0+"
ID_WRONG_SIGNS: Final = (
    r"[^A-Za-z0-9_.:-]|^[_.:-]*$"  # what a text within the length has that is no id by `ID_PATTERN`
)
# What shows at once that an id may break the rule: a sign that is not allowed, a dot, `E-`, no letter or
# digit.
ID_NOT_PLAIN: Final = r"[^A-Za-z0-9_:-]|[eE]-|^[_:-]*$"
ID_RULE: Final = "1 to 64 letters, digits and _ - . :"
_ID: Final = re.compile(ID_PATTERN)
_NO_ID: Final = re.compile(f"{ID_SHORTENED}|{ID_DECIMAL}")

FIRST_DAY: Final = dt.date(1880, 1, 1)
LAST_DAY: Final = dt.date(2100, 12, 31)
MONEY_AT_MOST: Final = 1e10
DAYS_AT_MOST: Final = 100_000
PROVINCE_DIGITS: Final = 2


def is_id(text: str) -> bool:
    """Whether a text keeps the id rule: signs, length, and no number shortened or turned into decimals by a
    spreadsheet.
    """
    return len(text) <= ID_LENGTH and _ID.fullmatch(text) is not None and _NO_ID.fullmatch(text) is None


@dataclass(frozen=True)
class Column:
    """One column of a table of the contract.

    name: the English name; zh: the Chinese header that is also read.
    optional: may be absent, and its cells may be empty; otherwise both are errors.
    codes: the English code and the Chinese value that is also read.
    unit: what a number counts.
    at_least, at_most: bounds of a number, both included; None for other kinds.
    digits: numbers of digits that an area code may have; empty for other kinds.
    month_end: a date of which only the month may be known; it is the last day of that month.
    """

    name: str
    kind: Kind
    zh: str
    optional: bool = False
    codes: Mapping[str, str] | None = None
    unit: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    digits: tuple[int, ...] = ()
    month_end: bool = False

    def describe(self) -> dict[str, Any]:
        """Everything about the column, as plain data: only what applies to its kind."""
        described: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "zh": self.zh,
            "optional": self.optional,
        }
        if self.codes is not None:
            described["codes"] = dict(self.codes)
        if self.unit is not None:
            described["unit"] = self.unit
        if self.at_least is not None:
            described |= {"minimum": self.at_least, "maximum": self.at_most}
        if self.digits:
            described["digits"] = list(self.digits)
        if self.kind == "id":
            described |= {
                "pattern": f"^{ID_PATTERN}$",
                "max_length": ID_LENGTH,
                "but_not": f"^(?:{ID_SHORTENED}|{ID_DECIMAL})$",
            }
        if self.kind == "date":
            described |= {
                "earliest": FIRST_DAY.isoformat(),
                "latest": LAST_DAY.isoformat(),
                "month_end": self.month_end,
            }
        return described


@dataclass(frozen=True)
class Table:
    """One table. State tables keep every version of a row (key, known_on); event tables are append-only
    (event_id).

    in_order: pairs of date columns, the first of which must not be after the second.
    nested: pairs of area columns, the first of which is the beginning of the second.
    one_of: columns of which at least one must have a value.
    """

    name: str
    zh: str
    form: Literal["state", "event", "values"]
    key: str
    columns: tuple[Column, ...]
    required: bool = False  # without it nothing can be scored
    for_training: bool = False  # without it nothing can be trained
    announced: bool = False  # known_on may be before occurred_on
    in_order: tuple[tuple[str, str], ...] = ()
    nested: tuple[tuple[str, str], ...] = ()
    one_of: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name}.{name}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in the order of the contract."""
        return tuple(column.name for column in self.columns)

    def describe(self) -> dict[str, Any]:
        """Everything about the table, as plain data."""
        return {
            "name": self.name,
            "zh": self.zh,
            "form": self.form,
            "key": self.key,
            "required": self.required,
            "required_for_training": self.for_training,
            "announced": self.announced,
            "columns": [column.describe() for column in self.columns],
            "in_order": [list(pair) for pair in self.in_order],
            "nested": [list(pair) for pair in self.nested],
            "one_of": list(self.one_of),
        }


def _codes(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split())
    return {code: zh for code, _, zh in pairs}


def _id(name: str, zh: str, optional: bool = False) -> Column:
    return Column(name, "id", zh, optional)


def _code(name: str, zh: str, codes: str, optional: bool = False) -> Column:
    return Column(name, "code", zh, optional=optional, codes=_codes(codes))


def _flag(name: str, zh: str, optional: bool = False) -> Column:
    return Column(name, "boolean", zh, optional)


def _date(name: str, zh: str, optional: bool = False) -> Column:
    return Column(name, "date", zh, optional)


def _number(name: str, zh: str, unit: str, *, kind: Kind = "number", optional: bool = False) -> Column:
    return Column(name, kind, zh, optional, unit=unit, at_least=0, at_most=MONEY_AT_MOST)


def _money(name: str, zh: str, optional: bool = False) -> Column:
    return _number(name, zh, "yuan", kind="money", optional=optional)


def _whole(name: str, zh: str, unit: str, at_least: int, at_most: int, *, optional: bool = False) -> Column:
    return Column(name, "integer", zh, optional, unit=unit, at_least=at_least, at_most=at_most)


def _area(name: str, zh: str, *digits: int, optional: bool = False) -> Column:
    return Column(name, "area", zh, optional, digits=digits)


HOUSEHOLD = _id("household_id", "户编号")
MEMBER = _id("member_id", "人员编号")
EVENT = _id("event_id", "记录编号")
KNOWN = _date("known_on", "入库日期")
OCCURRED = _date("occurred_on", "发生日期")

MEASURES: Final = (
    "industry=产业 employment=就业 public_post=公益岗位 finance=金融 health=健康 education=教育 housing=住房 "
    "relocation=搬迁 water=饮水 social=社会帮扶 safety_net=综合保障"
)
RISKS: Final = (
    "illness=因病 disability=因残 education=因学 disaster=因灾 accident=因意外事故 industry=因产业项目失败 "
    "employment=因务工就业不稳 labour=缺劳动力 housing=因安全住房 water=因安全饮水 other=其他"
)

_ALL: Final = (
    Table(
        name="households",
        zh="农户",
        form="state",
        key="household_id",
        columns=(
            HOUSEHOLD,
            KNOWN,
            _area("county_code", "县级区划代码", COUNTY_DIGITS),
            _area("township_code", "乡级区划代码", TOWNSHIP_DIGITS),
            _area("village_code", "村级区划代码", VILLAGE_DIGITS),
            _code("category", "户类型", "lifted=脱贫户 general=一般农户"),
            _flag("relocated", "易地搬迁"),
            Column("relocation_site", "text", "安置点", True),
            _number("cultivated_land_mu", "耕地面积", "mu", optional=True),
            _number("distance_km", "与村主干路距离", "km", optional=True),
            _code("housing_grade", "住房鉴定等级", "A=A级 B=B级 C=C级 D=D级", True),
            _flag("safe_water", "饮水安全", True),
        ),
        required=True,
        nested=(("county_code", "township_code"), ("township_code", "village_code")),
    ),
    Table(
        name="members",
        zh="家庭成员",
        form="state",
        key="member_id",
        columns=(
            MEMBER,
            KNOWN,
            HOUSEHOLD,
            _date("birth_date", "出生日期"),
            _code("sex", "性别", "male=男 female=女"),
            _code(
                "relation",
                "与户主关系",
                (
                    "head=户主 spouse=配偶 child=子女 grandchild=孙子女 parent=父母 grandparent=祖父母 "
                    "sibling=兄弟姐妹 other=其他"
                ),
            ),
            _code(
                "education",
                "文化程度",
                "illiterate=文盲或半文盲 primary=小学 junior=初中 senior=高中 college=大专及以上",
            ),
            _code(
                "schooling",
                "在校状况",
                (
                    "none=非在校 preschool=学前教育 primary=小学 junior=初中 senior=高中 vocational=中职 "
                    "college=大专及以上"
                ),
            ),
            _flag("chronic_ill", "长期慢性病"),
            _flag("seriously_ill", "患有大病"),
            _code(
                "labour",
                "劳动技能",
                (
                    "skilled=技能劳动力 ordinary=普通劳动力 weak=弱劳动力或半劳动力 lost=丧失劳动力 "
                    "none=无劳动力"
                ),
            ),
            _flag("medical_insured", "参加医疗保险"),
            _flag("pension_insured", "参加养老保险"),
            _flag("dibao", "低保"),
            _flag("tekun", "特困供养"),
            _flag("ethnic_minority", "少数民族", True),
            _date("left_on", "离开日期", True),
        ),
        required=True,
        in_order=(("birth_date", "known_on"),),
    ),
    Table(
        name="income",
        zh="收入",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            _id("member_id", "人员编号", True),
            OCCURRED,
            KNOWN,
            _code("source", "收入类别", "wage=工资性 business=生产经营性 property=财产性 transfer=转移性"),
            _money("amount", "金额"),
        ),
    ),
    Table(
        name="expenditure",
        zh="支出",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            OCCURRED,
            KNOWN,
            _code(
                "purpose",
                "支出用途",
                (
                    "production=生产经营性支出 education=教育 housing=住房 care=护理 disaster=灾害 "
                    "debt=债务 living=生活"
                ),
            ),
            _money("amount", "金额"),
        ),
    ),
    Table(
        name="medical",
        zh="医疗费用",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            MEMBER,
            OCCURRED,
            KNOWN,
            _code("kind", "就医类别", "outpatient=门诊 inpatient=住院 chronic=门诊慢特病"),
            _money("total_cost", "总费用"),
            _money("reimbursed", "报销金额"),
            _money("self_paid", "个人自付"),
            _money("compliant_self_paid", "合规自付", True),
            _whole("hospital_days", "住院天数", "days", 0, DAYS_AT_MOST, optional=True),
            Column("diagnosis_group", "text", "诊断类目", True),
        ),
    ),
    Table(
        name="disability",
        zh="残疾",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            MEMBER,
            OCCURRED,
            KNOWN,
            _code(
                "kind",
                "残疾类别",
                (
                    "vision=视力 hearing=听力 speech=言语 physical=肢体 intellectual=智力 mental=精神 "
                    "multiple=多重"
                ),
            ),
            _whole("level", "残疾等级", "level, 1 gravest to 4", 1, 4),
            _date("valid_until", "有效期至", True),
        ),
    ),
    Table(
        name="employment",
        zh="务工就业",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            MEMBER,
            replace(OCCURRED, month_end=True),
            KNOWN,
            _flag("employed", "是否就业"),
            _money("monthly_wage", "月工资", True),
            _code("place", "务工地点", "township=乡镇内 county=县内 province=省内 outside=省外", True),
            _code(
                "channel", "就业渠道", "market=市场 workshop=帮扶车间 public_post=公益岗位 self=自主", True
            ),
        ),
    ),
    Table(
        name="shocks",
        zh="灾害与突发事件",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            _id("household_id", "户编号", True),
            _area("area_code", "区划代码", COUNTY_DIGITS, TOWNSHIP_DIGITS, VILLAGE_DIGITS, optional=True),
            OCCURRED,
            KNOWN,
            _code(
                "kind",
                "事件类别",
                (
                    "flood=洪涝 drought=干旱 hail=冰雹 frost=霜冻 earthquake=地震 landslide=滑坡 "
                    "pest=病虫害 fire=火灾 epidemic=疫情 traffic_accident=交通事故 work_accident=工伤事故 "
                    "business_failure=产业项目失败 price_drop=价格下跌 job_loss=失业"
                ),
            ),
            _money("loss", "损失金额", True),
        ),
        announced=True,
        one_of=("household_id", "area_code"),
    ),
    Table(
        name="guarantees",
        zh="保障状况",
        form="state",
        key="household_id",
        columns=(
            HOUSEHOLD,
            KNOWN,
            _flag("food_clothing_ok", "吃穿不愁"),
            _flag("schooling_ok", "义务教育有保障"),
            _flag("insured_ok", "基本医疗有保障"),
            _flag("housing_ok", "住房安全有保障"),
            _flag("water_ok", "饮水安全有保障"),
        ),
    ),
    Table(
        name="assistance",
        zh="帮扶措施",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            OCCURRED,
            KNOWN,
            _date("ended_on", "结束日期", True),
            _code("measure", "措施类别", MEASURES),
            _money("amount", "金额", True),
        ),
        announced=True,
    ),
    Table(
        name="leads",
        zh="线索",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            OCCURRED,
            KNOWN,
            _code(
                "channel",
                "来源渠道",
                "self_declared=农户自主申报 cadre=干部排查 department=部门预警 media=媒体 petition=信访",
            ),
            Column("topic", "text", "事由", True),
        ),
    ),
    Table(
        name="authorisations",
        zh="授权",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            OCCURRED,
            KNOWN,
            _date("revoked_on", "撤回日期", True),
            _code("scope", "授权范围", "assets=财产 finance=金融"),
        ),
    ),
    Table(
        name="assets",
        zh="财产",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            OCCURRED,
            KNOWN,
            _code(
                "kind",
                "财产类别",
                "vehicle=车辆 housing=房产 business=经营主体 deposit=存款 machinery=农机具",
            ),
            _money("value", "价值", True),
        ),
    ),
    Table(
        name="verifications",
        zh="入户核实",
        form="event",
        key="event_id",
        columns=(
            EVENT,
            HOUSEHOLD,
            OCCURRED,
            KNOWN,
            _code("origin", "核实来源", "sweep=集中排查 screening=模型筛查 random_check=随机抽查 lead=线索"),
            _code(
                "outcome",
                "核实结果",
                "risk_confirmed=纳入监测 no_risk=无风险 risk_eliminated=风险消除 unreachable=未能联系",
            ),
            _code(
                "object_class",
                "对象类型",
                "unstable_lifted=脱贫不稳定户 marginal=边缘易致贫户 sudden=突发严重困难户",
                True,
            ),
            Column("risk_kinds", "codes", "风险类型", optional=True, codes=_codes(RISKS)),
        ),
        for_training=True,
    ),
    Table(
        name="policy",
        zh="政策值",
        form="values",
        key="area_code",
        columns=(
            _area("area_code", "区划代码", PROVINCE_DIGITS, COUNTY_DIGITS, TOWNSHIP_DIGITS, VILLAGE_DIGITS),
            _code(
                "name",
                "名称",
                (
                    "monitoring_line=监测线 dibao_standard=农村低保标准 "
                    "disposable_income=上年农村居民人均可支配收入"
                ),
            ),
            _date("valid_from", "生效日期"),
            _number("value", "数值", "yuan a person and year", kind="money"),
            Column("source", "text", "来源"),
        ),
    ),
)


def _with_order(table: Table) -> Table:
    """An event cannot be known before it happened, unless it is announced."""
    if table.form != "event" or table.announced:
        return table
    return replace(table, in_order=(("occurred_on", "known_on"), *table.in_order))


TABLES: Final[Mapping[str, Table]] = {table.name: _with_order(table) for table in _ALL}
STATE_TABLES: Final = tuple(table.name for table in _ALL if table.form == "state")
EVENT_TABLES: Final = tuple(table.name for table in _ALL if table.form == "event")


def describe() -> dict[str, Any]:
    """The whole contract as plain data, ready for JSON: `{table: {"columns": [{"name", "kind", "codes", …}],
    …}}`.
    """
    return {name: table.describe() for name, table in TABLES.items()}
