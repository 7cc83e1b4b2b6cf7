"""The synthetic county keeps the contract, is as hard as the field, and its truth is true."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.synthetic import Dynamics, make_county, seeds, synthesise, synthetic_county
from riskmodel.synthetic.county import auc
from riskmodel.tables import check_tables
from riskmodel.tables.across import RULES
from riskmodel.tables.schema import TABLES

END = dt.date(2025, 12, 31)


@pytest.fixture(scope="module")
def made():
    """Frames and truth of 12,000 households over 4 years: enough confirmed risks for shares to be steady."""
    return make_county(12_000, 4, END, 5)


@pytest.fixture(scope="module")
def frames(made):
    return made[0]


@pytest.fixture(scope="module")
def truth(made):
    return made[1]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with 600 households over 2 years."""
    folder = tmp_path_factory.mktemp("synthetic") / "county"
    synthesise(folder, households=600, years=2, end=END, seed=3)
    return folder


def test_every_table_is_written_and_passes_the_contract(small):
    assert {path.stem for path in small.glob("*.parquet")} == set(TABLES)
    report = check_tables(small)
    assert report.ok, report.text()


def test_no_rule_across_tables_finds_anything_in_a_large_county(frames, tmp_path):
    for name, frame in frames.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
    assert [finding.where for finding in check_tables(tmp_path).findings if finding.check in RULES] == []


def test_a_newcomer_whom_no_register_holds_yet_earns_for_the_household_and_not_by_an_unknown_id():
    frames, _ = make_county(
        4000, 5, dt.date(2026, 2, 28), 5
    )  # one member of this county is known only after the end
    income = frames["income"]["member_id"].drop_nulls()
    assert income.is_in(frames["members"]["member_id"].implode()).all()


def test_the_truth_lies_beside_the_tables_and_not_among_them(small):
    beside = small.with_name("county_truth")
    assert {path.name for path in beside.iterdir()} == {"truth.parquet", "risks.parquet", "README.json"}
    truth = pl.read_parquet(beside / "truth.parquet")
    assert truth.columns == ["household_id", "as_of", "true_probability_12m", "outcome_12m"]
    about = json.loads((beside / "README.json").read_text())
    assert about["rows"] == truth.height and about["command"].startswith(
        "riskmodel synthesise DIR --households 600"
    )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_county(small, tmp_path):
    for seed, same in ((3, True), (4, False)):
        again = tmp_path / str(seed)
        synthesise(again, households=600, years=2, end=END, seed=seed)
        for name in ("income", "verifications", "members"):
            a, b = (hashlib.sha256((f / f"{name}.parquet").read_bytes()).digest() for f in (small, again))
            assert (a == b) == same, name
        truths = [f.with_name(f.name + "_truth") / "truth.parquet" for f in (small, again)]
        assert (truths[0].read_bytes() == truths[1].read_bytes()) == same


def test_nothing_is_known_after_the_end_or_before_it_happened(frames):
    for name, frame in frames.items():
        if "known_on" not in frame.columns:
            continue
        assert frame["known_on"].max() <= END, name
        if "occurred_on" in frame.columns and name not in ("shocks", "assistance"):
            assert frame.filter(pl.col("known_on") < pl.col("occurred_on")).is_empty(), name


def test_a_household_has_about_a_hundred_event_rows_in_four_years(frames):
    events = sum(frame.height for name, frame in frames.items() if TABLES[name].form == "event")
    assert 80 <= events / 12_000 <= 150


def test_about_one_household_in_a_hundred_is_newly_confirmed_a_year(truth):
    assert 0.008 <= truth.about["newly_found_a_year"] <= 0.015


def test_the_classes_are_mixed_as_in_the_field(truth):
    """Baoshan 2021: 25 % unstable, 16 % marginal, 59 % sudden."""
    share = truth.about["object_classes"]
    assert share["sudden"] > share["unstable_lifted"] > 0.08
    assert share["marginal"] > 0.08


def test_illness_is_a_risk_for_about_half_of_the_confirmed(frames):
    confirmed = frames["verifications"].filter(pl.col("outcome") == "risk_confirmed")
    assert 0.4 <= confirmed["risk_kinds"].str.contains("illness").mean() <= 0.65


def test_the_true_probability_ranks_well_but_not_perfectly(truth):
    """0.85 to 0.92: luck decides the rest. A learned score above it would be a leak."""
    assert 0.85 <= truth.about["true_auc_12m"] <= 0.92
    p, outcome = truth.scores["true_probability_12m"].to_numpy(), truth.scores["outcome_12m"].to_numpy()
    assert round(auc(p, outcome), 4) == truth.about["true_auc_12m"]


def test_the_true_probability_is_calibrated_by_decile(truth):
    """Mean probability against observed share. As-of dates overlap, so a household counts four times: hence
    the width.
    """
    frame = truth.scores.with_columns(
        decile=(pl.col("true_probability_12m").rank("ordinal") * 10 / (truth.scores.height + 1)).cast(
            pl.Int32
        )
    )
    for row in (
        frame.group_by("decile")
        .agg(
            pl.col("true_probability_12m").mean().alias("p"),
            pl.col("outcome_12m").mean().alias("o"),
            pl.len().alias("n"),
        )
        .iter_rows(named=True)
    ):
        error = np.sqrt(4 * row["p"] / row["n"])
        assert abs(row["o"] - row["p"]) <= 3.5 * error + 0.10 * row["p"], row
    assert abs(frame["outcome_12m"].mean() / frame["true_probability_12m"].mean() - 1) < 0.12


def test_the_outcome_is_a_confirmation_within_twelve_months(frames, truth):
    """Where the window ends before the data do, the truth's outcome is the contract's label."""
    as_of = dt.date(2024, 1, 1)
    confirmed = frames["verifications"].filter(
        (pl.col("outcome") == "risk_confirmed")
        & (pl.col("occurred_on") > as_of)
        & (pl.col("occurred_on") <= dt.date(2025, 1, 1))
    )
    at = truth.scores.filter(pl.col("as_of") == as_of)
    label = at["household_id"].is_in(confirmed["household_id"].implode())
    assert (label == (at["outcome_12m"] == 1)).mean() > 0.9995


def test_risks_begin_before_they_are_found(truth):
    found = truth.risks.filter(pl.col("found_on").is_not_null())
    waited = (found["found_on"] - found["began_on"]).dt.total_days()
    assert waited.min() > 0 and 30 < waited.mean() < 150


def test_medical_bills_have_a_heavy_tail_and_come_late(frames):
    stays = frames["medical"].filter(pl.col("kind") == "inpatient")
    assert stays["self_paid"].quantile(0.99) > 10 * stays["self_paid"].median()
    late = (stays["known_on"] - stays["occurred_on"]).dt.total_days()
    assert late.quantile(0.5) > 14 and late.quantile(0.95) > 60


def test_the_sweep_writes_one_visit_a_household_and_year(frames):
    swept = (
        frames["verifications"]
        .filter((pl.col("origin") == "sweep") & (pl.col("occurred_on").dt.year() == 2023))
        .unique()
    )
    assert swept["household_id"].n_unique() > 0.9 * 12_000
    assert swept.filter(pl.col("outcome") == "no_risk").group_by("household_id").len()["len"].max() <= 2


def test_few_leads_are_confirmed(frames):
    by_lead = frames["verifications"].filter(pl.col("origin") == "lead")
    assert 0.02 < (by_lead["outcome"] == "risk_confirmed").mean() < 0.35


def test_help_follows_the_finding_and_so_would_betray_it(frames):
    """Leak bait: most measures of confirmed households begin within three months after the visit."""
    confirmed = (
        frames["verifications"]
        .filter(pl.col("outcome") == "risk_confirmed")
        .group_by("household_id")
        .agg(pl.col("occurred_on").max().alias("found"))
    )
    helped = frames["assistance"].join(confirmed, on="household_id")
    after = (helped["occurred_on"] - helped["found"]).dt.total_days()
    assert ((after > 0) & (after < 90)).mean() > 0.3


def test_people_are_born_die_marry_and_move(frames):
    members, households = frames["members"], frames["households"]
    assert members["left_on"].is_not_null().sum() > 200
    assert members.filter(pl.col("birth_date") > dt.date(2022, 6, 1)).height > 100
    assert (
        members.group_by("member_id").agg(pl.col("household_id").n_unique())["household_id"] > 1
    ).sum() > 20
    assert (
        households.group_by("household_id").agg(pl.col("village_code").n_unique())["village_code"] > 1
    ).sum() > 50


def test_events_are_corrected_and_some_arrive_twice(frames):
    for name in ("medical", "income"):
        per_event = frames[name].group_by("event_id").agg(pl.col("known_on").n_unique().alias("versions"))
        assert 0.002 < (per_event["versions"] > 1).mean() < 0.05, name
    assert frames["employment"].is_duplicated().sum() > 0


def test_ids_tell_nothing_and_area_codes_nest(frames):
    households = frames["households"].unique("household_id")
    number = households["household_id"].str.slice(1).cast(pl.Int64)
    lifted = households["category"].cast(pl.String) == "lifted"
    assert abs(number.filter(lifted).mean() / number.mean() - 1) < 0.1
    nested = pl.col("village_code").str.starts_with(pl.col("township_code")) & pl.col(
        "township_code"
    ).str.starts_with("522301")
    assert frames["households"].select(nested.all()).item()
    assert not any(
        "name" in column
        for frame in frames.values()
        for column in frame.columns
        if frame is not frames["policy"]
    )


def test_the_county_brings_the_lines_it_lives_by(frames):
    lines = frames["policy"].filter(pl.col("name") == "monitoring_line").sort("valid_from")
    assert lines["valid_from"].min() < dt.date(2022, 1, 1)
    assert (
        lines["value"].is_sorted()
        and lines.filter(pl.col("valid_from") == dt.date(2023, 7, 1))["value"].item() == 7300
    )


def test_a_county_in_memory_is_the_one_in_the_folder(small):
    tables, truth = synthetic_county(households=600, years=2, end=END, seed=3)
    on_disk = pl.read_parquet(small / "leads.parquet")
    assert tables["leads"].drop("replaced_on").sort("event_id").equals(on_disk.unique().sort("event_id"))
    assert truth.equals(pl.read_parquet(small.with_name("county_truth") / "truth.parquet"))


def test_numbers_that_make_no_county_are_refused_all_at_once():
    with pytest.raises(DataError) as refusal:
        synthetic_county(households=3, years=0, end=END, seed=-1)
    assert len(refusal.value.faults) == 3


def test_no_two_random_streams_of_a_county_have_the_same_key(monkeypatch):
    """Every generator that a county draws from, those of late, lost and misread rows included, has a key of
    its own.
    """
    keys = []
    drawn = np.random.default_rng

    def recorded(key):
        keys.append(tuple(key) if isinstance(key, list) else key)
        return drawn(key)

    monkeypatch.setattr(np.random, "default_rng", recorded)
    make_county(150, 2, END, 9, dynamics=Dynamics(lost=0.1, misread=0.1))
    assert len(keys) > 40
    assert len(set(keys)) == len(keys), sorted(key for key in keys if keys.count(key) > 1)


def test_no_number_of_a_stream_is_given_twice():
    whole = [
        seeds.PEOPLE,
        seeds.WORLD,
        seeds.LIVES,
        seeds.FUTURES,
        seeds.SKY,
        seeds.DELIVERY,
        seeds.VILLAGE_GAPS,
    ]
    numbers = [*whole, *seeds.RECORDS.values()]
    assert len(set(numbers)) == len(numbers)
    assert len(set(seeds.DELIVERIES.values())) == len(seeds.DELIVERIES)


def test_nobody_is_billed_certified_or_paid_before_birth_or_after_leaving(frames):
    people = (
        frames["members"]
        .sort("known_on")
        .group_by("member_id")
        .agg(born=pl.col("birth_date").min(), left=pl.col("left_on").last())
    )
    for name in ("medical", "disability", "employment", "income"):
        lived = frames[name].join(people, on="member_id")
        outside = (pl.col("occurred_on") < pl.col("born")) | (
            pl.col("occurred_on") > pl.col("left").dt.month_end()
        )
        assert lived.height and lived.filter(outside).is_empty(), name
        if name != "employment":  # its rows are dated on the last day of the month that was worked
            assert lived.filter(pl.col("occurred_on") > pl.col("left")).is_empty(), name
