"""How fast features are made: the kernel against a straightforward vectorised pandas version, in one run,
with equal values.

    python benchmarks/features.py 150,000 households, 20 million events (about 6 GB of memory for pandas)
    python benchmarks/features.py --households 7500 a twentieth of it

Both get the same sorted tables; reading is left out and so is `prepare`, which is reported beside. The kernel
makes all features of the catalogue, and once more only those that pandas makes too (written out below). One
thread; both sides the best of the same number of runs, in CPU and in wall time. On a busy machine the CPU
ratio is the one to trust.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import pandas as pd
import polars as pl

from riskmodel.calendar import months_before
from riskmodel.features import (
    AreaContext,
    Catalogue,
    FeatureMatrix,
    Prepared,
    build,
    build_dates,
    count_context,
    load_catalogue,
    prepare,
    prepare_records,
)
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.tables import Tables
from riskmodel.tables.county import dtype_of
from riskmodel.tables.schema import TABLES

END = dt.date(2025, 12, 31)
DAYS = 4 * 365


# The county: sorted tables without event ids, which neither version reads. ----------------------------------


def county(households: int, events: int, seed: int = 1) -> Tables:
    """Sorted tables of that many households and events: 30 % income, 15 % expenditure, 20 % medical, 35 %
    employment.
    """
    random = np.random.default_rng(seed)
    members = households * 4
    household_ids = np.array([f"H{number:07d}" for number in range(households)])
    member_ids = np.array([f"M{number:08d}" for number in range(members)])
    home = np.arange(members) // 4

    def frame(name: str, columns: dict[str, object]) -> pl.DataFrame:
        table = TABLES[name]
        height = len(columns["known_on"])  # type: ignore[arg-type]
        made = {}
        for column in table.columns:
            if column.name == "event_id":
                continue
            values = columns.get(column.name)
            if isinstance(values, tuple):  # codes: places among the contract's codes
                codes = pl.Series(list(column.codes or ()), dtype=dtype_of(column))
                made[column.name] = codes.gather(np.asarray(values[0], np.uint32))
            elif values is None:
                made[column.name] = pl.repeat(None, height, dtype=dtype_of(column), eager=True)
            else:
                made[column.name] = pl.Series(values).cast(dtype_of(column))
        made["replaced_on"] = pl.repeat(None, height, dtype=pl.Date, eager=True)
        return pl.DataFrame(made)

    def dates(numbers: np.ndarray) -> pl.Series:
        return pl.Series(numbers.astype(np.int32)).cast(pl.Date)

    def sampled(count: int, owners: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        owner = np.sort(random.integers(0, owners, count))
        occurred = (END - dt.date(1970, 1, 1)).days - random.integers(0, DAYS, count)
        order = np.lexsort([occurred, owner])
        occurred = occurred[order]
        return owner, occurred, occurred + random.integers(1, 60, count)

    def money(count: int, mean: float) -> np.ndarray:
        return np.round(random.exponential(mean, count), 2)

    start = np.full(households, (END - dt.date(1970, 1, 1)).days - DAYS - 30)
    village = np.arange(households) // 100
    codes = [f"522301{number // 20 % 900 + 100:03d}{number % 20 + 1:03d}" for number in village]
    frames = {
        "households": frame(
            "households",
            {
                "household_id": household_ids,
                "known_on": dates(start),
                "county_code": [code[:6] for code in codes],
                "township_code": [code[:9] for code in codes],
                "village_code": codes,
                "category": (random.integers(0, 2, households),),
                "relocated": random.random(households) < 0.1,
                "cultivated_land_mu": money(households, 3),
            },
        ),
        "members": frame(
            "members",
            {
                "member_id": member_ids,
                "known_on": dates(np.repeat(start, 4)),
                "household_id": household_ids[home],
                "birth_date": dates(-random.integers(-18000, 12000, members)),
                "sex": (random.integers(0, 2, members),),
                "relation": (np.tile([0, 1, 2, 4], households),),
                "education": (random.integers(0, 5, members),),
                "schooling": (random.integers(0, 7, members),),
                "chronic_ill": random.random(members) < 0.2,
                "seriously_ill": random.random(members) < 0.03,
                "labour": (random.integers(0, 5, members),),
                "medical_insured": random.random(members) < 0.95,
                "pension_insured": random.random(members) < 0.9,
                "dibao": random.random(members) < 0.05,
                "tekun": random.random(members) < 0.01,
            },
        ),
    }
    count = int(events * 0.30)
    owner, occurred, known = sampled(count, households)
    frames["income"] = frame(
        "income",
        {
            "household_id": household_ids[owner],
            "occurred_on": dates(occurred),
            "known_on": dates(known),
            "source": (random.integers(0, 4, count),),
            "amount": money(count, 800),
        },
    )
    count = int(events * 0.15)
    owner, occurred, known = sampled(count, households)
    frames["expenditure"] = frame(
        "expenditure",
        {
            "household_id": household_ids[owner],
            "occurred_on": dates(occurred),
            "known_on": dates(known),
            "purpose": (random.integers(0, 7, count),),
            "amount": money(count, 300),
        },
    )
    count = int(events * 0.20)
    owner, occurred, known = sampled(count, members)
    kind, paid = random.integers(0, 3, count), money(count, 400)
    frames["medical"] = frame(
        "medical",
        {
            "member_id": member_ids[owner],
            "occurred_on": dates(occurred),
            "known_on": dates(known),
            "kind": (kind,),
            "total_cost": paid * 2,
            "reimbursed": paid,
            "self_paid": paid,
            "compliant_self_paid": np.round(paid * 0.8, 2),
            "hospital_days": np.where(kind == 1, random.integers(1, 20, count), 0).astype(np.int32),
        },
    )
    count = int(events * 0.35)
    owner, occurred, known = sampled(count, members)
    frames["employment"] = frame(
        "employment",
        {
            "member_id": member_ids[owner],
            "occurred_on": dates(occurred),
            "known_on": dates(known),
            "employed": random.random(count) < 0.7,
            "monthly_wage": money(count, 3000),
            "place": (random.integers(0, 4, count),),
            "channel": (random.integers(0, 4, count),),
        },
    )
    return Tables(frames)


# The pandas version. ----------------------------------------------------------------------------------------


def pandas_tables(tables: Tables) -> dict[str, pd.DataFrame]:
    """The same tables as pandas, ids as categories (whole numbers underneath): the form that suits pandas
    best.
    """
    ids = {
        name: pd.CategoricalDtype(tables[table][name].unique().sort().to_list())
        for name, table in (("household_id", "households"), ("member_id", "members"))
    }
    found = {}
    for name, frame in tables.frames.items():
        frame = frame.select(
            [
                column.name
                for column in frame
                if column.null_count() < frame.height or column.name == "replaced_on"
            ]
        )
        columns = {}
        for column in frame:
            if column.name in ids:
                columns[column.name] = pd.Categorical(column.to_list(), dtype=ids[column.name])
            elif column.dtype == pl.Date:
                columns[column.name] = column.to_numpy().astype("datetime64[s]")
            else:
                columns[column.name] = (
                    column.cast(pl.String).to_pandas().astype("category")
                    if column.dtype == pl.Enum
                    else column.to_numpy()
                )
        found[name] = pd.DataFrame(columns)
    return found


def pandas_features(tables: dict[str, pd.DataFrame], as_of: dt.date, line: float) -> pd.DataFrame:
    """The features as an analyst writes them: filter, then group and sum. One row a household."""
    day = pd.Timestamp(as_of)
    first = {months: pd.Timestamp(months_before(as_of.replace(day=1), months)) for months in (0, 6, 12, 24)}
    back = {months: pd.Timestamp(months_before(as_of, months)) for months in (3, 6, 12, 24)}

    def known(name: str) -> pd.DataFrame:
        frame = tables[name]
        return frame[(frame["known_on"] <= day) & ~(frame["replaced_on"] <= day)]

    members = known("members")
    home = members.set_index("member_id")["household_id"]
    households = known("households").set_index("household_id")
    index = households.index

    def per_home(frame: pd.DataFrame, column: str, how: str = "sum") -> pd.Series:
        grouped = frame.groupby("household_id", observed=True)[column].agg(how)
        return grouped.reindex(index)

    def zero(series: pd.Series) -> pd.Series:
        return series.fillna(0.0)

    size = members.groupby("household_id", observed=True).size().reindex(index).astype(float)
    out: dict[str, pd.Series] = {"household_size": size}
    born = members["birth_date"].dt
    members = members.assign(
        age=(day.year - born.year)
        - ((born.month > day.month) | ((born.month == day.month) & (born.day > day.day))).astype(int)
    )
    at_school = members["schooling"].isin(["primary", "junior", "senior", "vocational", "college"])
    able = members["labour"].isin(["skilled", "ordinary"]) & (members["age"] >= 16) & ~at_school
    for name, mask in {
        "children": members["age"] < 16,
        "elderly": members["age"] >= 60,
        "seriously_ill_members": members["seriously_ill"],
        "chronically_ill_members": members["chronic_ill"],
        "uninsured_members": ~members["medical_insured"],
        "dibao_members": members["dibao"],
        "tekun_members": members["tekun"],
        "able_members": able,
        "pupils": at_school,
    }.items():
        out[name] = zero(members[mask].groupby("household_id", observed=True).size().reindex(index)).astype(
            float
        )

    income, spent = known("income"), known("expenditure")

    def flows(frame: pd.DataFrame, start: int, end: int) -> pd.DataFrame:
        return frame[(frame["occurred_on"] >= first[start]) & (frame["occurred_on"] < first[end])]

    def net(start: int, end: int) -> tuple[pd.Series, pd.Series]:
        inside = flows(income, start, end)
        gross = per_home(inside, "amount")
        made = flows(spent, start, end)
        return gross, gross - zero(per_home(made[made["purpose"] == "production"], "amount"))

    gross, year = net(12, 0)
    _, before = net(24, 12)
    _, half = net(6, 0)
    inside = flows(income, 12, 0)
    source = {
        name: zero(per_home(inside[inside["source"] == name], "amount")).where(gross.notna())
        for name in ("wage", "business", "property", "transfer")
    }
    made = flows(spent, 12, 0)
    purpose = {
        name: zero(per_home(made[made["purpose"] == name], "amount"))
        for name in ("production", "education", "housing", "care", "disaster", "debt")
    }
    medical = known("medical")
    medical = medical.assign(household_id=medical["member_id"].map(home))
    compliant = zero(per_home(flows(medical, 12, 0), "compliant_self_paid"))
    positive = year.where(year > 0)
    rigid = compliant + purpose["education"] + purpose["care"] + purpose["disaster"] + purpose["housing"]
    out |= {
        "net_income_pp_12m": year / size,
        "income_gap_pp": (year - compliant) / size - line,
        "net_income_pp_before_12m": before / size,
        "income_change_share_12m": (year - before) / before.where(before > 0),
        "recent_income_gap_pp": 2 * half / size - line,
        "wage_income_pp_12m": source["wage"] / size,
        "net_business_income_pp_12m": (source["business"] - purpose["production"]) / size,
        "property_income_pp_12m": source["property"] / size,
        "transfer_income_pp_12m": source["transfer"] / size,
        "wage_share_12m": source["wage"] / gross.where(gross > 0),
        "business_share_12m": source["business"] / gross.where(gross > 0),
        "transfer_share_12m": source["transfer"] / gross.where(gross > 0),
        "rigid_spending_pp_12m": rigid / size,
        "rigid_share_12m": rigid / positive,
        "education_spending_12m": purpose["education"],
        "education_share_12m": purpose["education"] / gross.where(gross > 0),
        "debt_share_12m": purpose["debt"] / gross.where(gross > 0),
        "care_spending_12m": purpose["care"],
        "production_cost_ratio_12m": purpose["production"] / source["business"].where(source["business"] > 0),
    }

    def bills(months: int) -> pd.DataFrame:
        return medical[(medical["occurred_on"] > back[months]) & (medical["occurred_on"] <= day)]

    paid = {months: zero(per_home(bills(months), "self_paid")) for months in (3, 6, 12, 24)}
    year_bills = bills(12)
    inpatient = year_bills[year_bills["kind"] == "inpatient"]
    total = per_home(year_bills, "total_cost")
    out |= {f"self_paid_{months}m": paid[months] for months in (3, 6, 12, 24)}
    out |= {
        "self_paid_change_6m": 2 * paid[6] - paid[12],
        "self_paid_income_share_12m": paid[12] / positive,
        "largest_bill_12m": zero(per_home(year_bills, "self_paid", "max")),
        "reimbursed_share_12m": per_home(year_bills, "reimbursed") / total.where(total > 0),
        "inpatient_self_paid_12m": zero(per_home(inpatient, "self_paid")),
        "chronic_self_paid_12m": zero(per_home(year_bills[year_bills["kind"] == "chronic"], "self_paid")),
        "hospital_days_12m": zero(per_home(year_bills, "hospital_days")).astype(float),
    }
    stays = medical[(medical["kind"] == "inpatient") & (medical["occurred_on"] <= day)]
    out["days_since_inpatient"] = (day - per_home(stays, "occurred_on", "max")).dt.days.astype(float)

    work = known("employment")
    work = work.assign(household_id=work["member_id"].map(home))
    work = work[(work["occurred_on"] > back[12]) & (work["occurred_on"] <= day)]
    late = work["occurred_on"] > back[6]
    worked = work[work["employed"]]
    reports = work.groupby("household_id", observed=True).size().reindex(index)
    months = zero(worked.groupby("household_id", observed=True).size().reindex(index)).astype(float)
    shares = [per_home(work[mask], "employed", "mean") for mask in (late, ~late)]
    supported = worked[worked["channel"].isin(["public_post", "workshop"])]
    out |= {
        "months_worked_12m": months,
        "worked_share_12m": months / reports,
        "months_worked_change_6m": shares[0] - shares[1],
        "public_post_months_12m": zero(
            supported.groupby("household_id", observed=True).size().reindex(index)
        ).astype(float),
        "income_age_days": (day - per_home(income, "known_on", "max")).dt.days.astype(float),
        "medical_age_days": (day - per_home(medical, "known_on", "max")).dt.days.astype(float),
    }
    return pd.DataFrame(out)


# The comparison. --------------------------------------------------------------------------------------------


class Timed(NamedTuple):
    """The best of several runs in CPU and in wall seconds, and the last answer."""

    cpu: float
    wall: float
    answer: Any


def timed(function: Callable[[], object], repeat: int = 3) -> Timed:
    """Run it `repeat` times, the same for both sides of a comparison."""
    cpu = wall = float("inf")
    answer: object = None
    for _ in range(repeat):
        start, clock = time.process_time(), time.perf_counter()
        answer = function()
        cpu, wall = min(cpu, time.process_time() - start), min(wall, time.perf_counter() - clock)
    return Timed(cpu, wall, answer)


def say_ratio(what: str, ours: Timed, theirs: Timed, goal: str = "") -> None:
    print(
        (
            f"RATIO {what:48} {theirs.cpu / ours.cpu:8.1f} in CPU, {theirs.wall / ours.wall:8.1f} in wall "
            f"time   {goal}"
        ).rstrip()
    )


def memory_of(function: Callable[[], object]) -> tuple[float, object]:
    """Highest memory of the process in use during the call above that before it, in MB."""
    page, here = resource.getpagesize(), Path("/proc/self/statm")

    def now() -> float:
        return int(here.read_text().split()[1]) * page / 1e6

    before, highest, done = now(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            highest[0] = max(highest[0], now())

    thread = threading.Thread(target=watch)
    thread.start()
    answer = function()
    highest[0] = max(highest[0], now())
    done.set()
    thread.join()
    return highest[0] - before, answer


def worst_difference(matrix: object, other: pd.DataFrame) -> tuple[float, str]:
    """Largest relative difference of any value, and its feature; unknown must be unknown in both."""
    frame = matrix.pandas().set_index("household_id")  # type: ignore[attr-defined]
    worst, name = 0.0, "none"
    for column in other.columns:
        ours, theirs = frame[column].to_numpy(), other.loc[frame.index, column].to_numpy(dtype=float)
        assert (np.isnan(ours) == np.isnan(theirs)).all(), f"{column}: unknown in one and not in the other"
        difference = np.nanmax(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0), initial=0.0)
        if difference > worst:
            worst, name = float(difference), column
    return worst, name


def records_of(tables: Tables, household_id: str) -> dict[str, list[dict[str, object]]]:
    part = tables.of_households([household_id])
    records = {}
    for name, frame in part.frames.items():
        rows = frame.drop("replaced_on").with_columns(pl.col(pl.Date).cast(pl.String)).to_dicts()
        for number, row in enumerate(rows):
            if TABLES[name].form == "event":
                row["event_id"] = f"{name}{number:06d}"
        records[name] = rows
    return records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--households", type=int, default=150_000)
    parser.add_argument("--events", type=int, help="default: 133 a household")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="best of so many runs, on both sides")
    given = parser.parse_args()
    events = given.events or given.households * 400 // 3
    project = Project.find(Path(__file__).resolve().parents[1])
    catalogue, policy = load_catalogue(project), Policy.load(project)
    as_of = dt.date(2025, 6, 15)
    line = policy.value("monitoring_line", "522301001001", as_of)

    tiny = county(50, 5000)
    start = time.perf_counter()
    build(tiny, as_of, catalogue=catalogue, policy=policy)
    print(f"first call (compiles, or loads from the cache): {time.perf_counter() - start:.2f} s")
    few = catalogue.only(
        name for name in catalogue.names if name in pandas_features(pandas_tables(tiny), as_of, line).columns
    )
    build(tiny, as_of, catalogue=few, policy=policy, trim=True)

    tables = county(given.households, events, given.seed)
    print(
        f"{given.households:,} households, {events:,} events, {len(catalogue.names)} features, as of {as_of}"
    )
    memory, ready = memory_of(lambda: timed(lambda: prepare(tables), 1))
    prepared = ready.answer
    held = sum(array.nbytes for array in prepared.arrays) / 1e6
    print(f"prepare: {ready.cpu:.2f} s CPU, {memory:,.0f} MB at most, {held:,.0f} MB kept")
    memory, ours = memory_of(
        lambda: timed(lambda: build(prepared, as_of, catalogue=catalogue, policy=policy), given.repeat)
    )
    matrix = ours.answer
    print(
        f"kernel, one date: {ours.cpu:.2f} s CPU, {memory:,.0f} MB, {ours.cpu / len(matrix) * 1e6:.1f} "
        "µs a household"
    )
    print(f"MEMORY prepare and one date, beside the tables: {held + memory:,.0f} MB   (goal 2,000)")
    frames = pandas_tables(tables)
    memory, theirs = memory_of(lambda: timed(lambda: pandas_features(frames, as_of, line), given.repeat))
    print(f"pandas, one date, {len(few.names)} features: {theirs.cpu:.2f} s CPU, {memory:,.0f} MB")
    same = timed(lambda: build(prepared, as_of, catalogue=few, policy=policy, trim=True), given.repeat)
    places = [matrix.names.index(column) for column in few.names]
    assert np.ascontiguousarray(matrix.values[:, places]).tobytes() == same.answer.values.tobytes(), (
        "trimmed: the same bits"
    )
    print(f"kernel, one date, the same {len(few.names)} features: {same.cpu:.2f} s CPU")
    difference, name = worst_difference(matrix, theirs.answer)
    print(f"largest relative difference: {difference:.1e} ({name})")
    say_ratio("one date, the same features", same, theirs, "(goal 8)")
    say_ratio(f"one date, all features against pandas' {len(few.names)}", ours, theirs)
    del matrix, ours, theirs, same

    small = tables if given.households <= 7500 else county(7500, 1_000_000, given.seed)
    days = [dt.date(2025, month, 1) for month in range(1, 13)]
    asked = Asked(days=days, catalogue=catalogue, few=few, policy=policy, line=line)
    twelve_dates("12 dates, 7,500 households", small, asked, given.repeat)
    if small is not tables:
        memory, same = memory_of(
            lambda: timed(
                lambda: build_dates(prepared, days, catalogue=few, policy=policy, trim=True), given.repeat
            )
        )
        theirs = timed(lambda: [pandas_features(frames, day, line) for day in days], 1)
        for one, other in zip(same.answer, theirs.answer, strict=True):
            assert worst_difference(one, other)[0] < 1e-9
        print(
            f"12 dates, all households: kernel {same.cpu:.2f} s CPU, {memory:,.0f} MB, pandas "
            f"{theirs.cpu:.2f} s CPU (run once)"
        )
        say_ratio("12 dates, all households, the same features", same, theirs, "(goal 20)")
        del same, theirs

    one_household(small, "H0000042", as_of, catalogue, policy, line)


class Asked(NamedTuple):
    """What is worked out on each date, by the kernel and by pandas."""

    days: list[dt.date]
    catalogue: Catalogue
    few: Catalogue  # the features that the pandas program has as well
    policy: Policy
    line: float


def twelve_dates(what: str, tables: Tables, asked: Asked, repeat: int) -> None:
    days, catalogue, few, policy, line = asked
    frames, ready = pandas_tables(tables), prepare(tables)
    theirs = timed(lambda: [pandas_features(frames, day, line) for day in days], repeat)
    same = timed(lambda: build_dates(ready, days, catalogue=few, policy=policy, trim=True), repeat)
    ours = timed(lambda: build_dates(ready, days, catalogue=catalogue, policy=policy), repeat)
    apart = timed(
        lambda: [build(ready, day, catalogue=few, policy=policy, trim=True) for day in days], repeat
    )
    for one, other, alone in zip(same.answer, theirs.answer, apart.answer, strict=True):
        assert one.values.tobytes() == alone.values.tobytes(), "several dates at once: the same bits"
        assert worst_difference(one, other)[0] < 1e-9
    print(
        f"{what}: kernel {same.cpu:.3f} s CPU ({apart.cpu:.3f} date by date, {ours.cpu:.3f} for all "
        f"features), pandas {theirs.cpu:.2f} s"
    )
    say_ratio("12 dates, the same features", same, theirs, "(goal 20)")
    say_ratio("12 dates, date by date", apart, theirs)
    say_ratio(f"12 dates, all features against pandas' {len(few.names)}", ours, theirs)
    two = timed(lambda: build_dates(ready, days, catalogue=few, policy=policy, trim=True, threads=2), repeat)
    print(
        f"12 dates, wall: one thread {same.wall:.3f} s, two threads {two.wall:.3f} s (means little on a "
        "busy machine)"
    )


def one_household(
    tables: Tables, household: str, as_of: dt.date, catalogue: Catalogue, policy: Policy, line: float
) -> None:
    context = AreaContext.from_json(count_context(tables, as_of).json())
    one = tables.of_households([household])
    records, alone = records_of(tables, household), prepare(one)
    rows = sum(len(part) for part in records.values())

    def now(ready: Prepared) -> FeatureMatrix:
        return build(
            ready, as_of, catalogue=catalogue, policy=policy, households=[household], context=context
        )

    mine = timed(lambda: [now(alone) for _ in range(2000)])
    reading = timed(lambda: [prepare_records(records) for _ in range(500)])
    their_one = pandas_tables(one)
    theirs = timed(lambda: [pandas_features(their_one, as_of, line) for _ in range(5)])
    assert now(reading.answer[-1]).values.tobytes() == mine.answer[0].values.tobytes(), (
        "records and tables give the same bits"
    )
    per = {
        "build": mine.cpu / 2000 * 1e6,
        "prepare_records": reading.cpu / 500 * 1e6,
        "pandas": theirs.cpu / 5 * 1e6,
    }
    print(
        f"one household, {rows} rows: "
        + ", ".join(f"{name} {micros:,.0f} µs" for name, micros in per.items())
    )
    print(
        f"RATIO one household, sorted tables given: {per['pandas'] / per['build']:,.0f} in CPU   (goal 200)"
    )
    print(
        "RATIO one household, from JSON records: "
        f"{per['pandas'] / (per['build'] + per['prepare_records']):,.0f} in CPU"
    )


if __name__ == "__main__":
    main()
