"""A year of visits on a synthetic county whose risks are known: what each way to make a list finds, how early, and what it can say about itself.

    python benchmarks/year_of_visits.py --households 10000 --out /tmp/year       # synthesises, trains, plays twelve monthly cycles

Each way gets the same visits a month, on top of what the county did anyway (leads and the yearly sweep, as they stand in the tables); leads are
left out of all lists, because the county's own visits answered them. Of the visits listed, 85 % are made, in the middle of the month; a visit
finds a risk if one has begun that nobody has found and that has not passed. Visits made by a list are known to its next lists. What
the tables do not show: how a household's later life would have changed after an earlier visit.

Writes `year.json`, a table in Markdown and a plot.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import riskmodel as rm
from riskmodel.features import build, load_catalogue
from riskmodel.policy import Policy
from riskmodel.project import Project, start_project
from riskmodel.screening.draws import chance_of
from riskmodel.screening.listing import VisitList, screening_list
from riskmodel.screening.settings import CarryOver, Leads, RandomChecks, ScreeningSettings
from riskmodel.tables import Tables, from_frames
from riskmodel.training import cohort
from riskmodel.training.random_checks import recall_from_checks

MADE = 0.85  # part of the listed visits that is made
REDRAWS = 200
NO_LEADS = Leads(channels=(), guarantees=False, rules=())


@dataclass
class Way:
    """One way to make the list: whose order, and with which settings."""

    name: str
    order: str
    settings: ScreeningSettings
    visits: int = 0
    checks: int = 0
    found: dict[str, tuple[dt.date, str]] = field(default_factory=dict)
    lists: list[tuple[VisitList, dt.date]] = field(default_factory=list)
    made: list[set[str]] = field(default_factory=list)


def ways() -> list[Way]:
    def settings(share: float, cycles: int = 2) -> ScreeningSettings:
        return ScreeningSettings(leads=NO_LEADS, random_checks=RandomChecks(share=share), carry_over=CarryOver(cycles=cycles))

    return [
        Way("model, no random checks", "model", settings(0.0)),
        Way("model, 10 % random checks", "model", settings(0.10)),
        Way("model, 20 % random checks", "model", settings(0.20)),
        Way("model, 10 %, without carry-over", "model", settings(0.10, cycles=0)),
        Way("department rules", "rules", settings(0.0)),
        Way("income gap", "gap", settings(0.0)),
        Way("random visits", "chance", settings(0.0)),
    ]


class Risks:
    """When risks began, were found by the county or passed, a household's spells in order."""

    def __init__(self, path: Path) -> None:
        frame = pl.read_parquet(path).sort("household_id", "began_on")
        self.spells: dict[str, list[dict[str, Any]]] = {}
        for row in frame.iter_rows(named=True):
            self.spells.setdefault(row["household_id"], []).append(row)

    def open_on(self, household: str, day: dt.date) -> dict[str, Any] | None:
        """The spell that a visit on the day would find."""
        for spell in self.spells.get(household, ()):
            ends = [end for end in (spell["found_on"], spell["passed_on"]) if end is not None]
            if spell["began_on"] <= day and (not ends or day < min(ends)):
                return spell
        return None


def scorings(project: Project, tables: Tables, run: str, days: list[dt.date]) -> dict[dt.date, pl.DataFrame]:
    """household_id, probability and one margin for each order, of the cohort of each day."""
    model = rm.load_model(run, project=project).model
    catalogue, policy = load_catalogue(project), Policy.load(project, tables)
    ready = {}
    for day in days:
        households = cohort(tables, day)["household_id"].to_list()
        matrix = build(tables, day, catalogue=catalogue, policy=policy, households=households)
        margin = model.margin(matrix.select(model.feature_names).values)
        rules = [name for name in matrix.names if name.startswith("rule_")]
        met = sum(np.nan_to_num(matrix.column(name)) for name in rules)
        ready[day] = pl.DataFrame(
            {
                "household_id": pl.Series(matrix.household_id.tolist(), dtype=pl.String),
                "probability": model.probability(margin, horizon=12),
                "model": margin,
                "rules": met,
                "gap": -np.nan_to_num(matrix.column("income_gap_pp"), nan=1e6),
                "chance": [chance_of(7, day.isoformat(), name) for name in households],
            }
        )
        print(f"scored {day}: {len(households)} households", flush=True)
    return ready


def play(way: Way, tables: Tables, scored: dict[dt.date, pl.DataFrame], risks: Risks, capacity: int) -> None:
    """Twelve cycles: list, visits, and what they found known to the next list."""
    seen = tables["verifications"].drop("replaced_on").with_columns(pl.col("origin", "outcome", "object_class").cast(pl.String))
    ours: list[dict[str, Any]] = []
    previous = None
    for day, frame in scored.items():
        made_on = day + dt.timedelta(days=15)
        extra = pl.DataFrame(ours, schema={name: seen.schema[name] for name in seen.columns}) if ours else seen.clear()
        known = Tables(
            {**tables.frames, "verifications": from_frames({"verifications": pl.concat([seen, extra])})["verifications"]}
        )
        scores = frame.select("household_id", "probability", margin=pl.col(way.order))
        visits = screening_list(scores, known, day, capacity=capacity, settings=way.settings, previous=previous)
        made = {name for name in visits.rows["household_id"].to_list() if chance_of(11, day.isoformat(), name) < MADE}
        origin = dict(visits.rows.select("household_id", "listed_as").iter_rows())
        for name in sorted(made):
            spell = risks.open_on(name, made_on)
            row = dict.fromkeys(seen.columns)
            row |= {"event_id": f"{way.name} {day} {name}", "household_id": name, "occurred_on": made_on}
            row |= {
                "known_on": made_on + dt.timedelta(days=5),
                "origin": "screening",
                "outcome": "risk_confirmed" if spell else "no_risk",
            }
            ours.append(row)
            if spell:
                way.found.setdefault(name, (made_on, origin[name]))
        way.visits += len(made)
        way.checks += sum(origin[name] == "random_check" for name in made)
        way.lists.append((visits, made_on))
        way.made.append(made)
        previous = visits


def table_of(way: Way, risks: Risks) -> pl.DataFrame:
    """What `recall_from_checks` takes: everybody listed or drawable in each cycle, with the truth of the day beside it."""
    parts = []
    for (visits, day), made in zip(way.lists, way.made, strict=True):
        listed = visits.rows.filter(pl.col("listed_as") != "random_check").select(
            "household_id", "probability", route=pl.lit("listed"), stratum=pl.lit("listed"), inclusion_probability=pl.lit(1.0)
        )
        outside = visits.drawn_from.select(
            "household_id",
            "probability",
            route=pl.when("drawn").then(pl.lit("random_check")).otherwise(pl.lit("none")),
            stratum="stratum",
            inclusion_probability="inclusion_probability",
        )
        both = pl.concat([listed, outside]).with_columns(cycle=pl.lit(visits.cycle))
        names = both["household_id"].to_list()
        truth = [int(risks.open_on(name, day) is not None) for name in names]
        both = both.with_columns(truth=pl.Series(truth), made=pl.Series([name in made for name in names]))
        parts.append(both)
    frame = pl.concat(parts)
    looked = pl.col("made") & (pl.col("route") != "none")
    return frame.with_columns(label=pl.when(looked).then("truth"))


def again(chance: np.ndarray, stratum: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Another draw of the same design: systematic over the strata in random order, as in `screening.draws`."""
    walk = np.lexsort((generator.random(len(chance)), stratum))
    passed = np.floor(np.cumsum(chance[walk]) - generator.random() + 1).astype(int)
    drawn = np.zeros(len(chance), dtype=bool)
    drawn[walk[np.diff(passed, prepend=0) > 0]] = True
    return drawn


def recall_check(way: Way, risks: Risks) -> dict[str, Any]:
    """The estimate of the year as it would be reported, its truth, and bias and coverage over many other draws of the same year."""
    table = table_of(way, risks)
    inside = table.filter(pl.col("route") == "listed")["truth"].sum()
    truth = inside / table["truth"].sum()
    once = recall_from_checks(table.drop("truth", "made"), layers=("cycle",)).recall
    result: dict[str, Any] = {"true_recall": truth, "estimate": once.value, "low": once.low, "high": once.high, "why": once.why}
    if not once.estimable:
        return result
    estimates, missed, covered = [], [], 0
    outside = table.filter(pl.col("route") != "listed")
    true_missed = outside["truth"].sum()
    listed = table.filter(pl.col("route") == "listed")
    lists = listed.with_columns(label=pl.col("truth")).select("route", "inclusion_probability", "label")
    cycles = [
        (part["inclusion_probability"].to_numpy(), part["stratum"].to_numpy(), part["truth"].to_numpy())
        for part in outside.partition_by("cycle", maintain_order=True)
    ]
    generator = np.random.default_rng(1)
    for _ in range(REDRAWS):
        parts = [lists]
        for chance, stratum, found in cycles:
            drawn = again(chance, stratum, generator)
            parts.append(
                pl.DataFrame(
                    {
                        "route": np.where(drawn, "random_check", "none"),
                        "inclusion_probability": chance,
                        "label": pl.Series(np.where(drawn, found, -1)).replace(-1, None),
                    }
                )
            )
        said = recall_from_checks(pl.concat(parts, how="vertical_relaxed"))
        assert said.recall.value is not None and said.recall.low is not None and said.recall.high is not None
        assert said.missed.value is not None
        estimates.append(said.recall.value)
        missed.append(said.missed.value)
        covered += said.recall.low <= truth <= said.recall.high
    spread = float(np.std(missed))
    result |= {
        "missed_true": int(true_missed),
        "missed_mean": float(np.mean(missed)),
        "missed_bias_in_standard_errors": float((np.mean(missed) - true_missed) / spread),
        "recall_mean": float(np.mean(estimates)),
        "coverage": covered / REDRAWS,
        "redraws": REDRAWS,
    }
    return result


def row_of(way: Way, risks: Risks, tail: dt.date) -> dict[str, Any]:
    months = []
    alone = 0
    for name, (day, _) in way.found.items():
        spell = risks.open_on(name, day)
        assert spell is not None
        if spell["found_on"] is None or spell["found_on"] > tail:
            alone += 1
        else:
            months.append((spell["found_on"] - day).days / 30.4)
    return {
        "way": way.name,
        "visits": way.visits,
        "found": len(way.found),
        "of_them_by_random_checks": sum(kind == "random_check" for _, kind in way.found.values()),
        "visits_a_confirmation": way.visits / max(len(way.found), 1),
        "months_earlier": float(np.mean(months)) if months else None,
        "found_by_nobody_else": alone,
    }


def draw_picture(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [row["way"] for row in rows][::-1]
    colours = ["#2f6f8f" if name.startswith("model") else "#b8a27a" for name in names]
    left.barh(names, [row["found"] for row in rows][::-1], color=colours)
    left.set_xlabel("risks found in twelve months")
    right.barh(names, [row["visits_a_confirmation"] for row in rows][::-1], color=colours)
    right.set_xlabel("visits for one confirmation")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.bar_label(axis.containers[0], fmt="%.0f", padding=3, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--households", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--share", type=float, default=0.01, help="visits a month, as a part of the households")
    parser.add_argument("--plan", default="lightgbm_12m")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the county, the run and the results; kept for a second look"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    folder = given.out / "tables"
    if not folder.exists():
        rm.synthesise(folder, households=given.households, years=5, end="2025-12-31", seed=given.seed)
    tables = rm.read_tables(folder)
    root = given.out / "project"
    if not root.exists():
        start_project(root, Project.find().root)
    project = Project(root)
    noted = given.out / "run.txt"
    if not noted.exists():
        noted.write_text(rm.train(given.plan, tables, until="2024-12-31", project=project).id)
    days = [dt.date(2025, month, 1) - dt.timedelta(days=1) for month in range(1, 13)]
    scored = scorings(project, tables, noted.read_text(), days)
    risks = Risks(given.out / "tables_truth" / "risks.parquet")
    capacity = round(given.share * given.households)
    begun = [
        s
        for spells in risks.spells.values()
        for s in spells
        if s["began_on"] <= days[-1] and max(s["found_on"] or s["passed_on"] or dt.date(2026, 1, 1), days[0]) > days[0]
    ]
    rows, recalls = [], {}
    played = ways()
    for way in played:
        play(way, tables, scored, risks, capacity)
        rows.append(row_of(way, risks, dt.date(2026, 12, 31)))
        print(rows[-1], flush=True)
    for way in played[:3]:
        recalls[way.name] = recall_check(way, risks)
        print(way.name, recalls[way.name], flush=True)
    result = {
        "households": given.households,
        "capacity": capacity,
        "seed": given.seed,
        "plan": given.plan,
        "open_risks": len(begun),
        "rows": rows,
        "recall": recalls,
    }
    (given.out / "year.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    draw_picture(rows, given.out / "year-of-visits.png")
    print(f"\n{len(begun)} risks were open at some time of the year; {capacity} visits a month.\n")
    print("| way | visits made | risks found | visits a confirmation | months earlier than the county | found by nobody else |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        early = "" if row["months_earlier"] is None else f"{row['months_earlier']:.1f}"
        print(
            f"| {row['way']} | {row['visits']} | {row['found']} | {row['visits_a_confirmation']:.0f} | {early} | {row['found_by_nobody_else']} |"
        )


if __name__ == "__main__":
    main()
