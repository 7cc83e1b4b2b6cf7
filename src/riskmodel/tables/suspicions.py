"""What is strange but may be true: kept, used, and reported. From the field's audit rules, and from comparing
counties and months.

Thresholds are of this check only; none has a legal meaning, and none changes a row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import polars as pl

from riskmodel.tables.across import Register, warn_across, warn_of_corrections
from riskmodel.tables.checks import Sheet, whole
from riskmodel.tables.county import ROW
from riskmodel.tables.values import Complaint

ROW_RIGHT = ROW + "_right"
KEPT = "Nothing is changed. Ask the department; correct it at its source."

# Ages (years, at known_on) at which a member may attend; generous, because rural pupils start late and repeat
# years.
SCHOOL_AGES: Mapping[str, tuple[int, int]] = {
    "preschool": (2, 9),
    "primary": (4, 17),
    "junior": (9, 20),
    "senior": (13, 24),
    "vocational": (13, 26),
    "college": (15, 45),
}
WAGE_RANGE = (100.0, 30_000.0)  # yuan a month; the audit rule's own range
WORKING_AGE = 16
OLDEST = 110
CENT = 0.011

# Usual range of the median of positive values (yuan, mu, km) in any county; far outside, the unit is likely
# another.
USUAL_MEDIANS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("income", "amount"): (20, 300_000),
    ("expenditure", "amount"): (5, 500_000),
    ("medical", "total_cost"): (3, 300_000),
    ("medical", "self_paid"): (0.5, 100_000),
    ("medical", "compliant_self_paid"): (0.5, 100_000),
    ("employment", "monthly_wage"): (200, 30_000),
    ("assistance", "amount"): (20, 1_000_000),
    ("assets", "value"): (200, 10_000_000),
    ("shocks", "loss"): (20, 10_000_000),
    ("households", "cultivated_land_mu"): (0.05, 500),
    ("households", "distance_km"): (0.01, 200),
    ("policy", "value"): (1_000, 200_000),
}
UNIT_RATIO = (
    300.0  # between the usual spread of counties (below 10) and 千元 or 万元 for 元 (1,000 or 10,000)
)
ENOUGH_VALUES = 20

# A missing value is usual in these columns; in the next ones it is looked for only where a value is due.
USUALLY_MISSING = {
    ("households", "relocation_site"),
    ("members", "left_on"),
    ("income", "member_id"),
    ("disability", "valid_until"),
    ("shocks", "household_id"),
    ("shocks", "area_code"),
    ("shocks", "loss"),
    ("assistance", "ended_on"),
    ("assistance", "amount"),
    ("leads", "topic"),
    ("authorisations", "revoked_on"),
}
DUE_WHERE: Mapping[tuple[str, str], pl.Expr] = {
    ("medical", "hospital_days"): pl.col("kind") == "inpatient",
    ("employment", "monthly_wage"): pl.col("employed"),
    ("employment", "place"): pl.col("employed"),
    ("employment", "channel"): pl.col("employed"),
    ("verifications", "object_class"): pl.col("outcome") == "risk_confirmed",
    ("verifications", "risk_kinds"): pl.col("outcome") == "risk_confirmed",
}
MISSING_SHARE = 0.2

MONTHS_OF_A_DELIVERY = 12
ENOUGH_ROWS = 20
LAG_CHANGE_DAYS = 30


def look_for_suspicions(sheets: Mapping[str, Sheet], register: Register | None, *, today: dt.date) -> None:
    """Add all warnings to the sheets. register: what `refuse_across` returned. today: the county's day."""
    counties = county_of_owner(sheets)
    warn_across(sheets, register)
    for name, sheet in sheets.items():
        if not sheet.frame.height:
            continue
        for rule, mask in contradictions(name, sheet.frame, sheets):
            if mask.any():
                column, found, expected, zh = AUDIT_RULES[rule]
                sheet.add(
                    "warning",
                    column,
                    Complaint(
                        check="contradiction",
                        rows=mask.arg_true(),
                        found=found,
                        expected=expected,
                        remedy=KEPT,
                        zh=zh,
                    ),
                )
        _known_in_future(sheet, today)
        _missing_shares(sheet)
        placed = with_county(sheet, counties)
        _units(sheet, placed)
        _deliveries(sheet, placed)
        warn_of_corrections(sheet, placed["county"])
        _lags(sheet)
    _stopped(sheets)
    _households_without_members(sheets)


def newest(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """The newest version of each state row, with its position in the file as `(row)`."""
    return (
        frame.with_row_index(ROW).sort("known_on", ROW).unique(subset=[key], keep="last", maintain_order=True)
    )


def county_of_owner(sheets: Mapping[str, Sheet]) -> dict[str, pl.DataFrame]:
    """`household_id` -> county and `member_id` -> county, by the newest version."""
    if "households" not in sheets:
        return {}
    homes = newest(sheets["households"].frame, "household_id").select("household_id", county="county_code")
    counties = {"household_id": homes}
    if "members" in sheets:
        people = newest(sheets["members"].frame, "member_id").select("member_id", "household_id")
        counties["member_id"] = people.join(homes, on="household_id", how="left").select(
            "member_id", "county"
        )
    return counties


def with_county(sheet: Sheet, counties: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The table with a column `county` (null where it is not known)."""
    frame, table = sheet.frame, sheet.table
    if table.name == "households":
        return frame.with_columns(county=pl.col("county_code"))
    if table.form == "values":
        return frame.with_columns(county=pl.col("area_code").str.slice(0, 6))
    owner = "household_id" if "household_id" in table.names else "member_id"
    if owner not in counties:
        return frame.with_columns(county=pl.lit(None, pl.String))
    known = counties[owner]
    if known["county"].n_unique() <= 1:
        only = known["county"][0] if known.height else None
        return frame.with_columns(county=pl.lit(only, pl.String))
    return frame.join(known, on=owner, how="left", maintain_order="left")


def _years(born: str = "birth_date", at: str = "known_on") -> pl.Expr:
    before_birthday = pl.col(at).dt.ordinal_day() < pl.col(born).dt.ordinal_day()
    return pl.col(at).dt.year() - pl.col(born).dt.year() - before_birthday.cast(pl.Int32)


# The audit rules of the field: name -> (column, found, expected, found in Chinese). docs/tables.md lists
# them.
AUDIT_RULES: Mapping[str, tuple[str, str, str, str]] = {
    "pupil_labour": ("labour", "pupils marked as labour", "labour `none` for a pupil", "在校生标注为劳动力"),
    "child_labour": (
        "labour",
        f"labour under {WORKING_AGE} years",
        "labour `none` for a child",
        f"不满 {WORKING_AGE} 岁标注为劳动力",
    ),
    "school_age": (
        "schooling",
        "an age that does not fit the school level",
        "birth_date and schooling that fit",
        "年龄与在校学段不符",
    ),
    "too_old": (
        "birth_date",
        f"an age over {OLDEST} years",
        "the birth_date of a living person, or left_on",
        f"年龄超过 {OLDEST} 岁",
    ),
    "dibao_and_tekun": ("tekun", "dibao and tekun at once", "one of the two", "同时标注低保和特困供养"),
    "no_insurance": (
        "medical_insured",
        "an adult with neither medical nor pension insurance",
        "at least one of the two",
        "成年人医疗保险、养老保险均未参加",
    ),
    "insurance_guarantee": (
        "medical_insured",
        "not insured, though guarantees record the household's medical cover as ok",
        "members and guarantees that agree",
        "保障状况为“基本医疗有保障”，但成员未参加医疗保险",
    ),
    "two_persons": (
        "member_id",
        "two persons with one number: sex or birth differ from the newest version",
        "one number a person",
        "同一编号对应两个人：性别或出生日期前后不同",
    ),
    "no_head": (
        "relation",
        "a household without a head (its first member is named)",
        "one head",
        "家庭没有户主",
    ),
    "several_heads": ("relation", "more than one head in a household", "one head", "一户有多个户主"),
    "severe_labour": (
        "labour",
        "physical disability of level 1 or 2, marked as skilled or ordinary labour",
        "labour `weak`, `lost` or `none`",
        "肢体残疾一、二级标注为技能或普通劳动力",
    ),
    "wage_range": (
        "monthly_wage",
        f"a monthly wage outside {WAGE_RANGE[0]:,.0f} to {WAGE_RANGE[1]:,.0f} yuan",
        "a month's wage in yuan",
        f"月工资不在 {WAGE_RANGE[0]:.0f} 至 {WAGE_RANGE[1]:.0f} 元之间",
    ),
    "wage_without_work": (
        "monthly_wage",
        "a wage without employment",
        "no wage, or employed true",
        "未就业但有工资",
    ),
    "month_end": (
        "occurred_on",
        "not the last day of a month",
        "the last day of the month that was worked",
        "发生日期不是月末",
    ),
    "month_twice": (
        "event_id",
        "several records of one member and month",
        "one; a correction keeps its event_id",
        "同一人同一月份有多条务工记录",
    ),
    "cost_parts": (
        "total_cost",
        "reimbursed and self-paid together exceed the total cost",
        "parts of the total",
        "报销与自付之和超过总费用",
    ),
    "compliant_part": (
        "compliant_self_paid",
        "compliant self-paid above self-paid",
        "a part of self_paid",
        "合规自付大于个人自付",
    ),
    "days_without_stay": (
        "hospital_days",
        "hospital days without a hospital stay",
        "kind `inpatient`",
        "非住院却有住院天数",
    ),
    "class_without_risk": (
        "object_class",
        "a class or risk kinds without a confirmed risk",
        "empty cells",
        "无风险却填写了对象类型或风险类型",
    ),
    "class_and_category": (
        "object_class",
        "an object class that does not fit the household's category",
        "unstable_lifted for lifted, marginal for general",
        "对象类型与户类型不符",
    ),
    "no_certificate": (
        "risk_kinds",
        "risk by disability, but nobody in the household has a certificate",
        "a row in disability",
        "因残致贫风险，但家庭成员无残疾证",
    ),
    "certificate_ended": (
        "valid_until",
        "a certificate that ended before it began",
        "valid_until on or after occurred_on",
        "有效期早于发证日期",
    ),
    "measure_ended": (
        "ended_on",
        "a measure that ended before it began",
        "ended_on on or after occurred_on",
        "结束日期早于开始日期",
    ),
    "revoked_before": (
        "revoked_on",
        "an authorisation that was revoked before it was given",
        "revoked_on on or after occurred_on",
        "撤回日期早于授权日期",
    ),
}


def contradictions(
    name: str, frame: pl.DataFrame, sheets: Mapping[str, Sheet]
) -> Iterator[tuple[str, pl.Series]]:
    """(audit rule, mask over the rows of this table) for every rule that the table can break."""

    def rows(condition: pl.Expr) -> pl.Series:
        return frame.select(condition.fill_null(False)).to_series()

    def at(places: pl.Series) -> pl.Series:
        mask = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
        return mask.scatter(places, True) if places.len() else mask

    there = {other for other, sheet in sheets.items() if sheet.frame.height}
    working = pl.col("labour").is_in(["skilled", "ordinary"])
    if name == "members":
        age = _years()
        pupils = pl.col("schooling").is_in(["preschool", "primary", "junior", "senior"])
        yield "pupil_labour", rows(pupils & working)
        yield "child_labour", rows((age < WORKING_AGE) & working & ~pupils)
        unfit = pl.lit(False)
        for level, (youngest, oldest) in SCHOOL_AGES.items():
            unfit = unfit | ((pl.col("schooling") == level) & ~age.is_between(youngest, oldest))
        yield "school_age", rows(unfit)
        yield "too_old", rows((age > OLDEST) & pl.col("left_on").is_null())
        yield "dibao_and_tekun", rows(pl.col("dibao") & pl.col("tekun"))
        uninsured = ~pl.col("medical_insured") & ~pl.col("pension_insured")
        yield "no_insurance", rows(uninsured & (age >= WORKING_AGE) & pl.col("left_on").is_null())
        people = newest(frame, "member_id")
        persons = frame.with_row_index(ROW).join(
            people.select("member_id", "sex", "birth_date"), on="member_id", how="left"
        )
        other = (pl.col("sex") != pl.col("sex_right")) | (pl.col("birth_date") != pl.col("birth_date_right"))
        yield "two_persons", at(persons.filter(other)[ROW].sort())
        here = people.filter(pl.col("left_on").is_null())
        heads = here.group_by("household_id").agg(
            (pl.col("relation") == "head").sum().alias("heads"), pl.col(ROW).min()
        )
        yield "no_head", at(heads.filter(pl.col("heads") == 0)[ROW].sort())
        several = heads.filter(pl.col("heads") > 1).join(
            here.filter(pl.col("relation") == "head"), on="household_id"
        )
        yield "several_heads", at(several[ROW_RIGHT].sort())
        if "guarantees" in there:
            covered = newest(sheets["guarantees"].frame, "household_id").filter(pl.col("insured_ok"))
            without = here.filter(~pl.col("medical_insured")).join(covered, on="household_id", how="semi")
            yield "insurance_guarantee", at(without[ROW].sort())
        if "disability" in there:
            severe = sheets["disability"].frame.filter(
                (pl.col("kind") == "physical") & (pl.col("level") <= 2)
            )
            yield (
                "severe_labour",
                at(people.filter(working).join(severe, on="member_id", how="semi")[ROW].sort()),
            )
    elif name == "employment":
        wage = pl.col("monthly_wage")
        yield "wage_range", rows((wage > 0) & ~wage.is_between(*WAGE_RANGE))
        yield "wage_without_work", rows(~pl.col("employed") & (wage > 0))
        yield "month_end", rows(pl.col("occurred_on") != pl.col("occurred_on").dt.month_end())
        yield "month_twice", at(_months_twice(frame))
    elif name == "medical":
        yield "cost_parts", rows(pl.col("reimbursed") + pl.col("self_paid") > pl.col("total_cost") + 1)
        yield "compliant_part", rows(pl.col("compliant_self_paid") > pl.col("self_paid") + CENT)
        yield "days_without_stay", rows((pl.col("hospital_days") > 0) & (pl.col("kind") != "inpatient"))
    elif name == "verifications":
        classed = pl.col("object_class").is_not_null() | pl.col("risk_kinds").is_not_null()
        yield "class_without_risk", rows(classed & (pl.col("outcome") == "no_risk"))
        if "households" in there:
            homes = newest(sheets["households"].frame, "household_id").select("household_id", "category")
            marked = frame.with_row_index(ROW).join(homes, on="household_id", how="inner")
            unstable = (pl.col("object_class") == "unstable_lifted") & (pl.col("category") == "general")
            marginal = (pl.col("object_class") == "marginal") & (pl.col("category") == "lifted")
            yield "class_and_category", at(marked.filter(unstable | marginal)[ROW].sort())
        if "members" in there and "disability" in there:
            certified = sheets["disability"].frame.select("member_id").unique()
            homes = (
                sheets["members"]
                .frame.join(certified, on="member_id", how="semi")
                .select("household_id")
                .unique()
            )
            by_disability = (pl.col("outcome") == "risk_confirmed") & pl.col("risk_kinds").str.contains(
                "disability"
            )
            disabled = frame.with_row_index(ROW).filter(by_disability)
            yield "no_certificate", at(disabled.join(homes, on="household_id", how="anti")[ROW].sort())
    elif name == "disability":
        yield "certificate_ended", rows(pl.col("valid_until") < pl.col("occurred_on"))
    elif name == "assistance":
        yield "measure_ended", rows(pl.col("ended_on") < pl.col("occurred_on"))
    elif name == "authorisations":
        yield "revoked_before", rows(pl.col("revoked_on") < pl.col("occurred_on"))


def _months_twice(employment: pl.DataFrame) -> pl.Series:
    """Rows of a member's month for which several different records (not versions of one) are there."""
    month = pl.col("occurred_on").dt.truncate("1mo").alias("month")
    again = employment.select(pl.struct("member_id", month).is_duplicated()).to_series()
    suspects = employment.with_row_index(ROW).filter(again).with_columns(month)
    ids = (
        suspects.group_by("member_id", "month")
        .agg(pl.col("event_id").n_unique().alias("ids"))
        .filter(pl.col("ids") > 1)
    )
    return suspects.join(ids, on=["member_id", "month"], how="semi")[ROW].sort()


def _known_in_future(sheet: Sheet, today: dt.date) -> None:
    """Nobody can know a row before today; a mistyped year would move the newest day of the whole county."""
    if "known_on" not in sheet.frame.columns:
        return
    future = (sheet.frame["known_on"] > today).fill_null(False)
    if future.any():
        newest = sheet.frame["known_on"].max()
        found = f"a day of knowledge that is still to come (newest {newest!s})"
        remedy = "Correct the year; `--until` is the newest known_on unless it is given."
        zh = f"入库日期在今天之后（最晚 {newest!s}）"
        sheet.add(
            "warning",
            "known_on",
            Complaint(
                check="known_in_future",
                rows=future.arg_true(),
                found=found,
                expected="known_on on or before today",
                remedy=remedy,
                zh=zh,
            ),
        )


def missing_shares(sheet: Sheet) -> dict[str, float]:
    """Share of missing values of each column, only of rows where a value is due; 1 for an absent column."""
    shares = {}
    frame = sheet.frame
    for column in sheet.table.columns:
        due = DUE_WHERE.get((sheet.table.name, column.name))
        rows = frame.filter(due.fill_null(False)) if due is not None else frame
        shares[column.name] = rows[column.name].null_count() / rows.height if rows.height else 0.0
    return shares


def _missing_shares(sheet: Sheet) -> None:
    for name, share in missing_shares(sheet).items():
        if (
            share >= MISSING_SHARE
            and name not in sheet.absent
            and (sheet.table.name, name) not in USUALLY_MISSING
        ):
            if not sheet.table.column(name).optional:
                continue
            found = f"{share:.0%} of the values are missing where one is due"
            expected = f"under {MISSING_SHARE:.0%}"
            remedy = (
                "The features of this column will often be unknown. Ask the department whether the extract "
                "is complete."
            )
            zh = f"应填而未填的比例为 {share:.0%}"
            sheet.add("warning", name, whole("missing_share", found, expected, remedy, zh))


def _units(sheet: Sheet, placed: pl.DataFrame) -> None:
    """Medians of a county against its neighbours, of a month against the other months, and against what is
    usual at all.
    """
    name = sheet.table.name
    for column in sheet.table.columns:
        if column.kind not in ("money", "number") or column.name in sheet.absent:
            continue
        positive = placed.filter(pl.col(column.name) > 0)
        if positive.height < ENOUGH_VALUES and name != "policy":
            continue
        value = pl.col(column.name).median().alias("median")
        remedy = (
            f"If the extract counts in another unit, write `{column.name}: {{from: …, unit: 万元}}` under "
            "`columns` in tables.yaml."
        )
        unit = column.unit or ""
        suspected: set[str] = set()
        medians = positive.group_by("county").agg(value, pl.len())
        medians = medians.filter((pl.col("len") >= ENOUGH_VALUES) | (name == "policy")).sort("county")
        middle = medians["median"].median()
        low, high = USUAL_MEDIANS.get((name, column.name), (0.0, float("inf")))
        for county, median in medians.select("county", "median").iter_rows():
            assert isinstance(middle, float)
            unusual = not low <= median <= high
            # Of three or more counties the outlier is identifiable; of two it is the one with an unusual
            # median.
            apart = medians.height > 1 and not 1 / UNIT_RATIO < median / middle < UNIT_RATIO
            if apart and (unusual or medians.height > 2):
                expected = f"about the {middle:,.6g} {unit} of the other counties"
            elif unusual:
                expected = f"a median between {low:,.6g} and {high:,.6g} {unit}"
            else:
                continue
            suspected.add(str(county))
            found = f"a median of {median:,.6g} in county {county}: another unit?"
            zh = f"{county} 的中位数为 {median:,.6g}，可能单位不同（如万元与元）"
            sheet.add("warning", column.name, whole("unit_suspect", found, expected, remedy, zh))
        if "known_on" not in positive.columns:
            continue
        months = positive.group_by("county", pl.col("known_on").dt.truncate("1mo").alias("month")).agg(
            value, pl.len()
        )
        months = months.filter(pl.col("len") >= ENOUGH_VALUES).with_columns(
            usual=pl.col("median").median().over("county")
        )
        ratio = pl.col("median") / pl.col("usual")
        odd = months.filter((ratio >= UNIT_RATIO) | (ratio <= 1 / UNIT_RATIO)).sort("county", "month")
        for county, month, median, _, usual_median in odd.iter_rows():
            if str(county) not in suspected:
                found = (
                    f"a median of {median:,.6g} in the delivery of {month:%Y-%m} of county {county}: "
                    "another unit?"
                )
                zh = f"{county} 在 {month:%Y-%m} 入库的数据中位数为 {median:,.6g}，可能单位不同"
                sheet.add(
                    "warning",
                    column.name,
                    whole(
                        "unit_suspect",
                        found,
                        f"about the {usual_median:,.6g} {unit} of its other months",
                        remedy,
                        zh,
                    ),
                )


def months_delivered(frame: pl.DataFrame) -> pl.DataFrame:
    """`month`, `rows`: rows by month of known_on, months without rows included."""
    counted = (
        frame.drop_nulls("known_on")
        .group_by(pl.col("known_on").dt.truncate("1mo").alias("month"))
        .agg(rows=pl.len())
        .sort("month")
    )
    if not counted.height:
        return counted
    first, last = counted["month"][0], counted["month"][-1]
    calendar = pl.DataFrame({"month": pl.date_range(first, last, "1mo", eager=True)})
    return calendar.join(counted, on="month", how="left", maintain_order="left").with_columns(
        pl.col("rows").fill_null(0)
    )


def is_monthly(months: pl.DataFrame) -> bool:
    """Whether a department delivers every month: a year or more, nearly every month with rows."""
    if months.height < MONTHS_OF_A_DELIVERY:
        return False
    filled = months.filter(pl.col("rows") >= ENOUGH_ROWS).height
    return filled >= 0.8 * months.height


def _deliveries(sheet: Sheet, placed: pl.DataFrame) -> None:
    """Months in which a monthly delivery nearly or wholly failed, by county."""
    if sheet.table.form != "event":
        return
    for (code,), part in placed.select("county", "known_on").group_by("county", maintain_order=True):
        county = str(code)
        months = months_delivered(part)
        if not is_monthly(months):
            continue
        # The first and the last month may be partly delivered.
        inner = months.slice(1, months.height - 2)
        usual = inner["rows"].rolling_median(13, min_samples=4, center=True)
        thin = inner.with_columns(usual=usual).filter(pl.col("rows") < 0.1 * pl.col("usual"))
        # A month that is thin every year is the department's calendar, not a gap.
        yearly = pl.col("month").dt.month()
        often = inner.group_by(yearly.alias("calendar")).agg(years=pl.len())
        recurring = thin.group_by(yearly.alias("calendar")).agg(thin=pl.len()).join(often, on="calendar")
        calendar = recurring.filter((pl.col("thin") >= 2) & (2 * pl.col("thin") > pl.col("years")))[
            "calendar"
        ]
        thin = thin.filter(~yearly.is_in(calendar.implode()))
        if thin.height:
            named = ", ".join(
                f"{month:%Y-%m} ({rows:,} rows)"
                for month, rows in thin.head(6).select("month", "rows").rows()
            )
            more = f" and {thin.height - 6} more months" if thin.height > 6 else ""
            found = f"a gap in the delivery of county {county}: {named}{more}"
            usually = thin["usual"].median()
            assert isinstance(usually, float)
            expected = f"about {usually:,.0f} rows a month"
            remedy = (
                "Ask the department to deliver these months again; until then the county looks quiet when "
                "it was not."
            )
            zh = f"{county} 缺少以下月份的数据：{named}"
            sheet.add("warning", "known_on", whole("delivery_gap", found, expected, remedy, zh))


def _stopped(sheets: Mapping[str, Sheet]) -> None:
    """Monthly deliveries that ended earlier than the others."""
    last: dict[str, dt.date] = {}
    for name, sheet in sheets.items():
        if sheet.table.form == "event" and sheet.frame.height:
            months = months_delivered(sheet.frame)
            if months.height and is_monthly(months):
                last[name] = months["month"][-1]
    if not last:
        return
    newest_month = max(last.values())
    for name, month in last.items():
        behind = (newest_month.year - month.year) * 12 + newest_month.month - month.month
        if behind >= 3:
            found = (
                f"nothing known after {month:%Y-%m}, while other departments deliver until "
                f"{newest_month:%Y-%m}"
            )
            remedy = "Ask the department for the months since; features of this table grow old."
            zh = f"{month:%Y-%m} 之后没有数据，其他部门已到 {newest_month:%Y-%m}"
            sheets[name].add(
                "warning",
                "known_on",
                whole("delivery_gap", found, "a delivery as new as the others", remedy, zh),
            )


def lags(frame: pl.DataFrame) -> pl.DataFrame:
    """`quarter` (of known_on), `lag` (median days from occurred_on to known_on), `rows`; without the first
    half-year, which is cut off.
    """
    start = frame["known_on"].min()
    if not isinstance(start, dt.date):
        return pl.DataFrame(schema={"quarter": pl.Date, "lag": pl.Float64, "rows": pl.UInt32})
    later = (
        frame.select("known_on", "occurred_on")
        .drop_nulls()
        .filter(pl.col("known_on") >= start + dt.timedelta(days=184))
    )
    days = (pl.col("known_on") - pl.col("occurred_on")).dt.total_days()
    by_quarter = later.group_by(pl.col("known_on").dt.truncate("1q").alias("quarter"))
    return (
        by_quarter.agg(lag=days.median(), rows=pl.len()).sort("quarter").filter(pl.col("rows") >= ENOUGH_ROWS)
    )


def _lags(sheet: Sheet) -> None:
    if sheet.table.form != "event" or sheet.table.announced:
        return
    quarters = lags(sheet.frame)
    for place in range(3, quarters.height):
        before = quarters["lag"][:place].median()
        now = quarters["lag"][place]
        assert isinstance(before, float) and isinstance(now, float)
        if abs(now - before) >= LAG_CHANGE_DAYS and not 0.5 < (now + 1) / (before + 1) < 2:
            quarter = quarters["quarter"][place]
            found = (
                f"since {quarter:%Y-%m} rows become known {now:.0f} days after they occurred (median), "
                f"{before:.0f} days before that"
            )
            remedy = (
                "Ask what changed in the exchange; labels and freshness of this table mean something else "
                "from that day on."
            )
            zh = f"自 {quarter:%Y-%m} 起，入库滞后的中位数由 {before:.0f} 天变为 {now:.0f} 天"
            sheet.add(
                "warning", "known_on", whole("lag_changed", found, "a steady reporting lag", remedy, zh)
            )
            return


def _households_without_members(sheets: Mapping[str, Sheet]) -> None:
    if "households" not in sheets or "members" not in sheets:
        return
    homes = newest(sheets["households"].frame, "household_id")
    alone = homes.join(sheets["members"].frame, on="household_id", how="anti")[ROW].sort()
    if alone.len():
        remedy = "Such a household is in no cohort. Deliver its members, or ask whether it still exists."
        complaint = Complaint(
            check="no_members",
            rows=alone,
            found="households without any member",
            expected="at least one member",
            remedy=remedy,
        )
        sheets["households"].add("warning", "household_id", complaint)
