"""The data contract in prose, generated from the schema, so that `docs/data-contract.md` always agrees with
the reader.

python -m riskmodel.tables.contract > docs/data-contract.md
"""

from __future__ import annotations

from riskmodel.tables import schema
from riskmodel.tables.across import OF_HOUSEHOLD, RULES
from riskmodel.tables.findings import CHECKS
from riskmodel.tables.schema import EVENT_TABLES, TABLES, Column, Table
from riskmodel.tables.suspicions import AUDIT_RULES

_HEAD = """\
<!-- Made by `python -m riskmodel.tables.contract`; change src/riskmodel/tables/schema.py instead. -->

# The data contract · 数据约定

Everything that riskmodel knows about a county arrives as these tables. A department's extract is mapped to them once, by the reader
([tables.md](tables.md)); every later step sees only them. Names are fixed. Any table but `households` and `members` may be absent: its
features are then missing, never zero; without `verifications` nothing can be trained.

部门导出的数据只在读入时对应一次，此后各环节只使用下列数据表。除 `households`（农户）和 `members`（家庭成员）外，其他表可以缺少：
缺少的表表示“未知”，不表示“没有”。没有 `verifications`（入户核实）则不能训练。列名、代码可以用英文，也可以用表中的中文。

## Conventions · 通则

- **A folder holds one entry a table**: `<table>.parquet`, `.csv`, `.csv.gz`, `.xlsx`, or a folder `<table>/` of Parquet files partitioned as
  `county_code=522301/…parquet`. The Chinese name of the table serves as well (`农户.csv`). CSV is UTF-8 (with or without BOM) or GB18030.
- **Two times.** `occurred_on` (发生日期) is when it happened. `known_on` (入库日期) is when the county's data could first show it. For an
  as-of date T only rows with `known_on <= T` are read, by anything, ever. `known_on < occurred_on` is an error, except in tables marked
  *announced*, where an event may be known before it happens.
- **State tables** keep every version of a row; in force at T is the newest with `known_on <= T`. **Event tables** only grow; a correction is
  a new row with the same `event_id` and a later `known_on`, and replaces the earlier one from that day on. Exact duplicates count once. Two
  different rows with the same key and `known_on` are an error.
- **An id means one thing for ever.** A correction keeps its household, member or area; an `event_id` that begins again each year takes
  another row out of force and is refused. A `household_id` or `member_id` is never given to others, even after a death or a move.
- **One household a member and day.** A move is a new row of the member with a later `known_on`. What a person causes (bills, certificates,
  work) is read through the household in which the person is in force on the as-of date: with a death or a move it leaves the old household,
  and a move takes it to the new one. Income belongs to its `household_id`, whoever earned it.
- **Rows read = rows used + rows named as refused, duplicate or empty**, in every form of file; the report gives the five figures of each
  table. A header without rows is allowed for an optional table, with a warning.
- **One table, one meaning**: the same table as Parquet (typed or text), CSV, GB18030 CSV or Excel, with the same `tables.yaml`, gives the same
  rows or is refused in the same words.
- **Missing** is an empty cell, and means that nothing is known. `NA`, `null`, `无` and `/` are no empty cells unless `tables.yaml` lists them.
- **Dates**: `2025-03-01`, `2025/3/1`, `20250301`, `2025年3月1日`, and date cells of Excel and Parquet, from {first} to {last}. A time of day
  is accepted only if it is midnight. A month without a day (`202503`, `2025年3月`) is the last day of that month where the table below says
  so; elsewhere `tables.yaml` decides (`day: first` or `last`). A date such as `9999-12-31` for an open end goes under `missing`.
- **Numbers** are plain, with `.` before decimals and `,` between thousands if at all; from 0 to {most:,.0f}. Money is yuan (CNY). Full-width
  digits are read. A number with its unit in the cell, or with an exponent, is refused.
- **Flags**: true/false, 1/0, 是/否. **Codes**: the English code or the Chinese value beside it. Several codes of one cell are separated by `;`,
  `、`, `,`, `/` or blanks.
- **Ids** (编号) are opaque pseudonyms of 1 to {length} letters, digits and `_ - . :`, at least one letter or digit among them; leading zeros count.
  Hexadecimal pseudonyms such as `6517185e3949` are ids; `3.30102E+17` and `12.0` are what a spreadsheet made of one, and are refused.
- **Identities** are refused wherever they are: 18-digit national ids, phone numbers, names of persons, few that repeat included.
- **Area codes** are the statistical codes: county 6 digits, township 9, village 12, each the beginning of the next.
- **Further columns** are allowed and not used, unless they look like an identity.

## Tables · 数据表
"""

_OUTCOME = """\
## What the outcome means · 结果的含义

- A household is **monitored** (监测对象) at T when its newest decisive verification (`risk_confirmed`, `risk_eliminated`) known at T is
  `risk_confirmed`; newest by `occurred_on`, then `known_on`; on a tie a confirmation wins.
- The **cohort** (筛查范围) at T: every household in force at T with at least one member in force that is not monitored at T.
- **Relapse within H months of T** (label 1): a `risk_confirmed` with `occurred_on` in (T, T + H months]. Label 0: not relapsed, and verified
  `no_risk` in that time. Otherwise **unlabelled**, never counted as 0; so is a household whose confirmation happened on or before T but
  became known only after T. A label may be used for training at day D only if T + H months plus the reporting lag is on or before D.
- **Households that merge or split** (并户、分户): status, visits and every other row of a household stay with its id and are never carried
  over; nobody becomes monitored, or stops being monitored, by a change of a register. A household whose members all moved into another has
  no member in force and is in no cohort, and without later visits it is unlabelled. The household that took them in, and the one that split
  off, keep or begin their own status: each is in the cohort unless its own newest decisive verification confirms a risk. `riskmodel check`
  names such households and how many were monitored, so that the county decides on them by a visit.
- **Rows of a member** (bills, employment, disability) count for the household in which the member is in force on the as-of day, for the
  whole time that a feature looks back. A household therefore loses the earlier bills of a member who died or moved away on that day, and
  the household that took the member in has all of them: a known limit, which can move a household a long way in the order.
- The score is the risk **given the assistance in place**. Everything written at or after identification (object class, risk kinds, measures
  started because of it) must never reach the features of an earlier date.
"""

_FORMS = {
    "state": "state table, one row a version: key `{key}` and `known_on`",
    "event": "event table: key `{key}`, with `known_on` for corrections",
    "values": "dated values: key `area_code`, `name`, `valid_from`",
}


def contract_markdown() -> str:
    """The whole contract as Markdown, English with the Chinese names and values beside."""
    head = _HEAD.replace("{first}", schema.FIRST_DAY.isoformat()).replace(
        "{last}", schema.LAST_DAY.isoformat()
    )
    head = head.replace("{length}", str(schema.ID_LENGTH)).replace(
        "{most:,.0f}", f"{schema.MONEY_AT_MOST:,.0f}"
    )
    parts = [head]
    parts += [_table(table) for table in TABLES.values()]
    parts.append(_OUTCOME)
    return "\n".join(parts)


def _table(table: Table) -> str:
    marks = [_FORMS[table.form].format(key=table.key)]
    if table.required:
        marks.append("required")
    if table.for_training:
        marks.append("required for training")
    if table.announced:
        marks.append("announced: may be known before it happens")
    lines = [f"### `{table.name}` · {table.zh}", "", "; ".join(marks) + ".", ""]
    lines += ["| column | 列名 | kind | values |", "|---|---|---|---|"]
    for column in table.columns:
        name = f"`{column.name}`" + (" (optional)" if column.optional else "")
        lines.append(f"| {name} | {column.zh} | {_kind(column)} | {_values(column)} |")
    return "\n".join(lines) + "\n"


def _kind(column: Column) -> str:
    return {
        "boolean": "flag",
        "integer": "whole number",
        "area": "area code",
        "codes": "codes, separated by `;`",
    }.get(column.kind, column.kind)


def _values(column: Column) -> str:
    if column.codes:
        return " · ".join(f"`{code}` {zh}".strip() for code, zh in column.codes.items())
    if column.kind == "area":
        return " or ".join(str(length) for length in column.digits) + " digits"
    if column.kind == "integer":
        return f"{column.unit}, {column.at_least:,.0f} to {column.at_most:,.0f}"
    if column.month_end:
        return "the last day where only the month is given"
    return column.unit or ""


def checks_markdown() -> str:
    """The list of all checks as a Markdown table: name, level, what it finds."""
    lines = ["| check | level | finds | 说明 |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {level} | {en} | {zh} |" for name, (level, en, zh) in CHECKS.items()]
    return "\n".join(lines) + "\n"


def rules_markdown() -> str:
    """The audit rules behind the warning `contradiction`."""
    lines = ["| column | kept, but reported | 说明 |", "|---|---|---|"]
    lines += [f"| `{column}` | {found} | {zh} |" for column, found, _, zh in AUDIT_RULES.values()]
    return "\n".join(lines) + "\n"


def across_markdown() -> str:
    """The rules across tables and versions: which rows, refused or kept, and why."""
    lines = ["| check | tables | rows | finds | why |", "|---|---|---|---|---|"]
    for name, rule in RULES.items():
        tables = (
            "events"
            if rule.tables == EVENT_TABLES
            else "events of households"
            if rule.tables == OF_HOUSEHOLD
            else ", ".join(rule.tables)
        )
        kept = "refused" if rule.level == "error" else "kept, reported"
        lines.append(f"| `{name}` | {tables} | {kept} | {rule.found} | {rule.why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(contract_markdown())
