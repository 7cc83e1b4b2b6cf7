"""A first `tables.yaml` for an extract as it came, from its header and its values. A proposal: a person reads
it before it counts.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.tables import identity
from riskmodel.tables.mapping import MAPPING_FILE, TableMapping
from riskmodel.tables.schema import TABLES, Column, Table
from riskmodel.tables.sources import Source, read_source, table_of_name
from riskmodel.tables.values import UNITS, clean_text, known_codes, unit_fits

# Headings that departments use for the contract's columns, beside its own Chinese names.
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "household_id": ("户号", "户编码", "家庭编号", "户ID", "农户编号", "户标识", "hh_id", "household"),
    "member_id": (
        "人员编码",
        "个人编号",
        "人员ID",
        "参保人编号",
        "成员编号",
        "人员标识",
        "person_id",
        "member",
    ),
    "event_id": ("流水号", "记录号", "单据号", "业务编号", "结算流水号", "序列号", "编号", "record_id", "id"),
    "known_on": (
        "交换日期",
        "推送日期",
        "入库时间",
        "导入日期",
        "数据日期",
        "更新日期",
        "上传时间",
        "load_date",
    ),
    "occurred_on": (
        "日期",
        "业务日期",
        "结算日期",
        "就诊日期",
        "发放日期",
        "发证日期",
        "核实日期",
        "入户日期",
        "登记日期",
        "开始日期",
        "务工月份",
        "date",
    ),
    "county_code": ("县代码", "县区划", "县级代码", "区县代码"),
    "township_code": ("乡镇代码", "乡代码", "镇代码", "乡镇区划"),
    "village_code": ("村代码", "行政村代码", "村区划"),
    "area_code": ("地区代码", "行政区划代码", "区划编码"),
    "category": ("农户类型", "户属性", "户类别", "农户属性"),
    "relocated": ("是否易地搬迁", "易地扶贫搬迁", "是否易地扶贫搬迁"),
    "cultivated_land_mu": ("耕地面积(亩)", "耕地"),
    "distance_km": ("与村主干路距离(公里)", "距主干路距离"),
    "housing_grade": ("住房等级", "房屋鉴定等级", "房屋等级"),
    "safe_water": ("是否解决安全饮用水", "安全饮水", "饮水是否安全"),
    "birth_date": ("出生年月日", "生日", "出生年月"),
    "relation": ("与户主的关系", "家庭关系", "户主关系"),
    "education": ("学历", "受教育程度"),
    "schooling": ("在校生状况", "就学情况", "在校生"),
    "chronic_ill": ("是否慢性病", "慢性病", "是否患有长期慢性病"),
    "seriously_ill": ("大病", "是否大病", "是否患有大病"),
    "labour": ("劳动能力", "劳动技能情况", "劳动力类型"),
    "medical_insured": ("是否参加医保", "基本医疗保险", "是否参加城乡居民基本医疗保险", "医保"),
    "pension_insured": ("是否参加养老保险", "养老保险", "是否参加城乡居民基本养老保险"),
    "dibao": ("是否低保", "是否农村低保", "低保户"),
    "tekun": ("是否特困", "是否特困供养人员", "特困人员"),
    "source": ("收入类型", "收入来源", "来源"),
    "amount": ("收入金额", "支出金额", "补助金额", "金额(元)", "发放金额", "数额"),
    "purpose": ("支出类型", "支出类别", "用途"),
    "kind": ("类别", "类型", "就诊类型", "医疗类别", "残疾类型", "事件类型", "资产类型"),
    "total_cost": ("医疗总费用", "费用总额", "总金额", "医疗费用总额", "总费用(元)"),
    "reimbursed": ("报销", "统筹支付", "医保支付", "基金支付", "报销费用", "报销总额"),
    "self_paid": ("自付费用", "个人自付金额", "自付金额", "个人支付", "个人负担", "自付"),
    "compliant_self_paid": ("合规自付费用", "政策范围内自付", "政策内自付"),
    "hospital_days": ("住院日数", "住院天数(天)", "实际住院天数"),
    "diagnosis_group": ("诊断", "疾病类别", "主要诊断", "ICD"),
    "level": ("等级", "残疾级别", "级别"),
    "valid_until": ("证件有效期", "有效期", "有效期止"),
    "employed": ("就业状态", "是否务工", "是否在岗", "务工状态"),
    "monthly_wage": ("工资", "月收入", "月均工资", "务工月收入", "月工资(元)"),
    "place": ("务工地", "就业地点", "务工区域"),
    "loss": ("损失", "经济损失", "直接经济损失"),
    "measure": ("措施", "帮扶类别", "帮扶类型", "帮扶措施类型"),
    "ended_on": ("终止日期", "截止日期", "完成日期"),
    "channel": ("渠道", "线索来源", "就业途径", "务工渠道"),
    "topic": ("事项", "问题", "线索内容", "反映问题"),
    "scope": ("授权类型", "授权内容"),
    "revoked_on": ("撤销日期", "授权终止日期"),
    "value": ("估值", "金额", "市值", "标准"),
    "origin": ("来源", "核查来源", "任务来源"),
    "outcome": ("结果", "核查结果", "认定结果", "核实结论"),
    "object_class": ("监测对象类别", "监测对象类型", "对象类别"),
    "risk_kinds": ("风险类别", "返贫风险", "致贫风险", "主要风险"),
    "left_on": ("减少日期", "迁出日期", "离开时间"),
}
_UNIT_IN_HEADING = re.compile(r"[(（\[]\s*(?:单位[:：]?)?\s*([^)）\]]+?)\s*[)）\]]")
_MANY_VALUES = 200


def propose_mapping(file: str | Path, table: str | None = None) -> str:
    """The text of a `tables.yaml` for one extract, with `# ?` where it is a guess and every open question as
    a comment.

    Without `table` the table is found by the file's name, else by the columns that fit best. Raises DataError
    for a file that cannot be read, or that fits no table.
    """
    path = Path(file)
    if not path.is_file():
        raise DataError(
            Fault(
                str(path), "no such file", "an extract: .parquet, .csv, .csv.gz or .xlsx", "Correct the path."
            )
        )
    if table is not None and table not in TABLES:
        raise DataError(
            Fault(table, "no table of the contract", "one of " + ", ".join(TABLES), "Correct the name.")
        )
    named = table or table_of_name(path)
    names = [
        name for table in TABLES.values() for column in table.columns for name in (column.name, column.zh)
    ]
    words = (*names, *(name for others in OTHER_NAMES.values() for name in others))
    source = read_source(path.parent, named or "households", [path], TableMapping(other_headings=words))
    if source.frame is None:
        faults = [
            Fault(trouble.file, trouble.found, trouble.expected, trouble.remedy)
            for trouble in source.troubles
        ]
        raise DataError(faults)
    if named is None:
        matches = {name: _match(candidate, source.frame.columns) for name, candidate in TABLES.items()}
        named = max(TABLES, key=lambda name: _fit(TABLES[name], matches[name]))
        if _fit(TABLES[named], matches[named]) < 0.5:
            remedy = "Name it with --table; the columns are " + ", ".join(source.frame.columns[:20]) + "."
            raise DataError(
                Fault(path.name, "columns that fit no table well", "one of " + ", ".join(TABLES), remedy)
            )
    return _text(path, TABLES[named], source)


def _fit(table: Table, matches: dict[str, tuple[str, bool]]) -> float:
    needed = [column.name for column in table.columns if not column.optional]
    found = sum(name in matches for name in needed)
    certain = sum(certain for _, certain in matches.values())
    return found / len(needed) + 0.01 * certain


def _without_unit(heading: str) -> tuple[str, str | None]:
    found = _UNIT_IN_HEADING.search(heading)
    if found and found.group(1) in UNITS:
        return heading[: found.start()] + heading[found.end() :], found.group(1)
    return heading, None


def _match(table: Table, headings: list[str]) -> dict[str, tuple[str, bool]]:
    """Column -> (heading, whether it is certain). Certain: its own name, Chinese name or a name that
    departments are known to use.
    """
    matches: dict[str, tuple[str, bool]] = {}
    left = list(headings)

    def take(column: Column, heading: str, certain: bool) -> None:
        matches[column.name] = (heading, certain)
        left.remove(heading)

    for names in (lambda c: (c.name, c.zh), lambda c: OTHER_NAMES.get(c.name, ())):
        for column in table.columns:
            if column.name in matches:
                continue
            wanted = [name.lower() for name in names(column)]
            for heading in left:
                if heading.lower() in wanted or _without_unit(heading)[0].lower() in wanted:
                    take(column, heading, True)
                    break
    for column in table.columns:
        if column.name in matches:
            continue
        best, score = None, 0.0
        for heading in left:
            if identity.telling_name(heading):
                continue
            core = _without_unit(heading)[0].lower()
            for name in (column.name, column.zh, *OTHER_NAMES.get(column.name, ())):
                likeness = difflib.SequenceMatcher(None, core, name.lower()).ratio()
                if likeness > score:
                    best, score = heading, likeness
        if best is not None and score >= 0.7:
            take(column, best, False)
    return matches


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[\w（）()/·.\-]+", text) and not re.fullmatch(
        r"[\d.\-_/]+|true|false|yes|no|on|off|null|y|n|~|-.*", text.lower()
    )
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(path: Path, table: Table, source: Source) -> str:
    assert source.frame is not None
    frame = source.frame
    matches = _match(table, frame.columns)
    lines = [
        (
            f"# A proposal for {path.name} ({source.read_as}, {frame.height:,} rows), to be read by a "
            "person: `# ?` marks a guess."
        )
    ]
    lines.append(f"# Put it into {MAPPING_FILE} beside the extract and run `riskmodel check`.")
    lines += [f"{table.name}:", f"  file: {_quoted(path.name)}"]
    if source.header > 1:
        lines.append(f"  header: {source.header}")
    columns, codes, questions = [], [], []
    taken = {heading for heading, _ in matches.values()}
    for column in table.columns:
        if column.name not in matches and column.kind == "codes":
            more = _further(column, [heading for heading in frame.columns if heading not in taken])
            columns += [f"    {_quoted(heading)}: {column.name}  # ?" for heading in more]
            taken |= set(more)
        if column.name not in matches:
            if not column.optional:
                questions.append(f"`{column.name}` ({column.zh}) is needed, but no column looks like it")
            continue
        heading, certain = matches[column.name]
        doubt = "" if certain else "  # ?"
        _, unit = _without_unit(heading)
        if unit and unit_fits(column, unit) and UNITS[unit][1] != 0:
            columns.append(f"    {column.name}: {{from: {_quoted(heading)}, unit: {unit}}}{doubt}")
        elif heading not in (column.name, column.zh):
            columns.append(f"    {_quoted(heading)}: {column.name}{doubt}")
        if column.kind == "codes":
            more = _further(column, [other for other in frame.columns if other not in taken])
            if more and heading in (column.name, column.zh):
                columns.append(f"    {_quoted(heading)}: {column.name}")
            columns += [f"    {_quoted(other)}: {column.name}  # ?" for other in more]
            taken |= set(more)
        codes += _code_lines(column, frame[heading], questions)
    if columns:
        lines += ["  columns:", *columns]
    if codes:
        lines += ["  codes:", *codes]
    unused = [heading for heading in frame.columns if heading not in taken]
    telling = [heading for heading in unused if identity.telling_name(heading)]
    questions += [
        f"`{heading}` looks like {identity.telling_name(heading)}: leave it out at the source"
        for heading in telling
    ]
    if rest := [heading for heading in unused if heading not in telling]:
        lines.append(
            "  ignore: ["
            + ", ".join(_quoted(heading) for heading in rest)
            + "]  # ? of no use to the contract"
        )
    lines += [f"# open: {question}" for question in questions]
    return "\n".join(lines) + "\n"


def _further(column: Column, headings: list[str]) -> list[str]:
    """Further headings of a column that may hold several codes: its names with a number behind (风险类型2),
    or its codes (因病).
    """
    names = {
        name.lower()
        for name in (column.name, column.zh, *OTHER_NAMES.get(column.name, ()), *known_codes(column))
    }
    return [heading for heading in headings if re.sub(r"[\d一二三四五()]+$", "", heading).lower() in names]


def _code_lines(column: Column, series: pl.Series, questions: list[str]) -> list[str]:
    """Lines of `tables.yaml` for values that are no code yet, each with the likeliest code."""
    if column.kind not in ("code", "boolean"):
        return []
    text = clean_text(series.cast(pl.String)).drop_nulls()
    found = text.unique(maintain_order=True).to_list()
    if column.kind == "boolean":
        known = {
            "true": "true",
            "1": "true",
            "是": "true",
            "false": "false",
            "0": "false",
            "否": "false",
            "1.0": "true",
            "0.0": "false",
        }
        known_words = known | {
            "有": "true",
            "无": "false",
            "已参保": "true",
            "未参保": "false",
            "参保": "true",
            "y": "true",
            "n": "false",
        }
    else:
        known = known_codes(column)
        known_words = known
    strange = [
        value for value in found if (value.lower() if column.kind == "boolean" else value) not in known
    ]
    if len(strange) > _MANY_VALUES:
        questions.append(f"`{column.name}` has {len(strange):,} different values: is it the right column?")
        return []
    pairs = []
    for value in strange:
        near = known_words.get(value.lower()) or _nearest(value, known_words)
        if near:
            pairs.append(f"{_quoted(value)}: {_quoted_code(near)}")
        else:
            questions.append(f"`{column.name}` has the value `{value}`, which no code resembles")
    return [f"    {column.name}: {{{', '.join(pairs)}}}  # ?"] if pairs else []


def _quoted_code(code: str) -> str:
    return f"'{code}'" if code in ("true", "false") else code


def _nearest(value: str, known: dict[str, str]) -> str | None:
    contained = [word for word in known if not word.isascii() and (word in value or value in word)]
    if contained:
        return known[max(contained, key=len)]
    near = difflib.get_close_matches(value.lower(), list(known), n=1, cutoff=0.6)
    return known[near[0]] if near else None
