"""A year of visits on synthetic counties whose risks are known: what each way to make a list finds, how
early, and what it can say about itself.

    python benchmarks/year_of_visits.py --seeds 11 12 13 14 --out /tmp/year # for each seed: a county, a
    model, twelve monthly cycles

Each way gets the same visits a month, on top of what the county did anyway (leads and the yearly sweep, as
they stand in the tables); leads are left out of all lists, because the county's own visits answered them. Of
the visits listed, 85 % are made, in the middle of the month; a visit finds a risk if one has begun that
nobody has found and that has not passed. Visits made by a list are known to its next lists. What the tables
do not show: how a household's later life would have changed after an earlier visit.

Intervals are 95 %, from draws of whole villages within each county (2,000 draws, all ways on the same
villages). Months gained count every risk that was open at some time of the year: from the day a way found it
to the day the county found it, it passed, or two years were over; 0 if the way did not find it. So a way that
finds few risks very early gains no more than it should.

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
from riskmodel.settings import CarryOver, Leads, RandomChecks, ScreeningSettings
from riskmodel.tables import Tables, from_frames
from riskmodel.training import cohort
from riskmodel.training.random_checks import recall_from_checks
from riskmodel.visits.draws import chance_of
from riskmodel.visits.listing import screening_list
from riskmodel.visits.visit_list import VisitList

MADE = 0.85  # part of the listed visits that is made
REDRAWS = 200
VILLAGES_DRAWN = 2000
OURS = "model, 10 % random checks"
END = dt.date(2026, 12, 31)
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
        return ScreeningSettings(
            leads=NO_LEADS, random_checks=RandomChecks(share=share), carry_over=CarryOver(cycles=cycles)
        )

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


def scorings(
    project: Project, tables: Tables, run: str, days: list[dt.date], kept: Path
) -> dict[dt.date, pl.DataFrame]:
    """household_id, probability and one margin for each order, of the cohort of each day; kept in a file for
    the next time.
    """
    if kept.exists():
        return {
            key[0]: part.drop("as_of")
            for key, part in pl.read_parquet(kept).group_by("as_of", maintain_order=True)
        }
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
    pl.concat([frame.with_columns(as_of=pl.lit(day)) for day, frame in ready.items()]).write_parquet(kept)
    return ready


def play(way: Way, tables: Tables, scored: dict[dt.date, pl.DataFrame], risks: Risks, capacity: int) -> None:
    """Twelve cycles: list, visits, and what they found known to the next list."""
    seen = (
        tables["verifications"]
        .drop("replaced_on")
        .with_columns(pl.col("origin", "outcome", "object_class").cast(pl.String))
    )
    ours: list[dict[str, Any]] = []
    previous = None
    for day, frame in scored.items():
        made_on = day + dt.timedelta(days=15)
        extra = (
            pl.DataFrame(ours, schema={name: seen.schema[name] for name in seen.columns})
            if ours
            else seen.clear()
        )
        known = Tables(
            {
                **tables.frames,
                "verifications": from_frames({"verifications": pl.concat([seen, extra])})["verifications"],
            }
        )
        scores = frame.select("household_id", "probability", margin=pl.col(way.order))
        visits = screening_list(
            scores, known, day, capacity=capacity, settings=way.settings, previous=previous
        )
        made = {
            name
            for name in visits.rows["household_id"].to_list()
            if chance_of(11, day.isoformat(), name) < MADE
        }
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
    """What `recall_from_checks` takes: everybody listed or drawable in each cycle, with the truth of the day
    beside it.
    """
    parts = []
    for (visits, day), made in zip(way.lists, way.made, strict=True):
        listed = visits.rows.filter(pl.col("listed_as") != "random_check").select(
            "household_id",
            "probability",
            route=pl.lit("listed"),
            stratum=pl.lit("listed"),
            inclusion_probability=pl.lit(1.0),
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
    """Another draw of the same design: systematic over the strata in random order, as in
    `screening.draws`.
    """
    walk = np.lexsort((generator.random(len(chance)), stratum))
    passed = np.floor(np.cumsum(chance[walk]) - generator.random() + 1).astype(int)
    drawn = np.zeros(len(chance), dtype=bool)
    drawn[walk[np.diff(passed, prepend=0) > 0]] = True
    return drawn


def recall_check(played: list[tuple[Way, Risks]]) -> dict[str, Any]:
    """The estimate of the year (of several counties together) as it would be reported, its truth, and bias
    and coverage over other draws of the year.
    """
    table = pl.concat(
        [
            table_of(way, risks).with_columns(cycle=pl.lit(f"{number} ") + pl.col("cycle"))
            for number, (way, risks) in enumerate(played)
        ]
    )
    inside = table.filter(pl.col("route") == "listed")["truth"].sum()
    truth = inside / table["truth"].sum()
    said = recall_from_checks(table.drop("truth", "made"), layers=("cycle",))
    result: dict[str, Any] = {
        "true_recall": truth,
        "said": said.recall.text(),
        "why": said.recall.why,
        "checks": said.checks,
    }
    if said.recall.low is None:
        return result
    outside = table.filter(pl.col("route") != "listed")
    true_missed = outside["truth"].sum()
    listed = table.filter(pl.col("route") == "listed").with_columns(label=pl.col("truth"))
    lists = listed.select("route", "inclusion_probability", "label")
    cycles = [
        (part["inclusion_probability"].to_numpy(), part["stratum"].to_numpy(), part["truth"].to_numpy())
        for part in outside.partition_by("cycle", maintain_order=True)
    ]
    generator = np.random.default_rng(1)
    missed, covered, confirmed, figures = [], 0, [], []
    for _ in range(REDRAWS):
        parts = [lists]
        for chance, stratum, found in cycles:
            drawn = again(chance, stratum, generator)
            label = pl.Series(np.where(drawn, found, -1)).replace(-1, None)
            route = np.where(drawn, "random_check", "none")
            parts.append(pl.DataFrame({"route": route, "inclusion_probability": chance, "label": label}))
        once = recall_from_checks(pl.concat(parts, how="vertical_relaxed"))
        assert once.recall.low is not None and once.recall.high is not None and once.missed.value is not None
        missed.append(once.missed.value)
        confirmed.append(once.checks_confirmed)
        covered += once.recall.low <= truth <= once.recall.high
        if once.recall.value is not None:
            figures.append(once.recall.value)
    return result | {
        "missed_true": int(true_missed),
        "missed_mean": float(np.mean(missed)),
        "missed_bias_in_standard_errors": float((np.mean(missed) - true_missed) / np.std(missed)),
        "confirmed_checks_mean": float(np.mean(confirmed)),
        "single_figure_given": len(figures) / REDRAWS,
        "single_figure_mean": float(np.mean(figures)) if figures else None,
        "coverage": covered / REDRAWS,
        "redraws": REDRAWS,
    }


def finds(way: Way, risks: Risks, village: dict[str, str], county: int) -> pl.DataFrame:
    """One row a risk that the way found: village, months before the county found it (null: it never did),
    months gained.
    """
    rows = []
    for name, (day, kind) in way.found.items():
        spell = risks.open_on(name, day)
        assert spell is not None
        ends = [end for end in (spell["found_on"], spell["passed_on"], END) if end is not None]
        early = (
            None
            if spell["found_on"] is None or spell["found_on"] > END
            else (spell["found_on"] - day).days / 30.4
        )
        rows.append((f"{county} {village[name]}", early, (min(ends) - day).days / 30.4, kind))
    schema = {"village": pl.String, "earlier": pl.Float64, "gained": pl.Float64, "kind": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def rows_of(counties: list[tuple[list[Way], Risks, dict[str, str], int]]) -> list[dict[str, Any]]:
    """One row a way, all counties together, with intervals from draws of villages; differences are against
    OURS on the same villages.
    """
    names = [
        f"{number} {name}"
        for number, (_, _, village, _) in enumerate(counties)
        for name in sorted(set(village.values()))
    ]
    place = {name: at for at, name in enumerate(names)}
    of_county = np.array([int(name.split()[0]) for name in names])
    generator = np.random.default_rng(3)
    weights = np.zeros((VILLAGES_DRAWN, len(names)))
    for number in range(len(counties)):
        inside = np.flatnonzero(of_county == number)
        drawn = generator.integers(0, len(inside), (VILLAGES_DRAWN, len(inside)))
        for draw in range(VILLAGES_DRAWN):
            weights[draw, inside] = np.bincount(drawn[draw], minlength=len(inside))
    risks_open = sum(count for *_, count in counties)
    sums: dict[str, dict[str, np.ndarray]] = {}
    rows = []
    for at, way in enumerate(counties[0][0]):
        found = [
            finds(ways[at], risks, village, number)
            for number, (ways, risks, village, _) in enumerate(counties)
        ]
        together = pl.concat(found)
        where = np.array([place[name] for name in together["village"].to_list()], dtype=int)
        later = together["earlier"].is_not_null().to_numpy()
        sums[way.name] = {
            "found": np.bincount(where, minlength=len(names)).astype(float),
            "gained": np.bincount(where, weights=together["gained"].to_numpy(), minlength=len(names)),
            "earlier": np.bincount(
                where, weights=together["earlier"].fill_null(0).to_numpy(), minlength=len(names)
            ),
            "later": np.bincount(where, weights=later, minlength=len(names)),
        }
        visits = sum(ways[at].visits for ways, *_ in counties)
        mean_earlier = together["earlier"].mean()
        rows.append(
            {
                "way": way.name,
                "visits": visits,
                "found": together.height,
                "found_a_county": [part.height for part in found],
                "of_them_by_random_checks": together.filter(pl.col("kind") == "random_check").height,
                "visits_a_confirmation": visits / max(together.height, 1),
                "months_earlier": mean_earlier,
                "months_gained_a_risk": together["gained"].sum() / risks_open,
                "found_by_nobody_else": int((~later).sum()),
            }
        )
    ours = sums[OURS]
    for row in rows:
        own = sums[row["way"]]
        draws = {name: weights @ own[name] for name in own}
        with np.errstate(invalid="ignore", divide="ignore"):
            row["found_interval"] = _interval(draws["found"])
            row["more_than_ours"] = row["found"] - int(ours["found"].sum())
            row["more_than_ours_interval"] = _interval(weights @ (own["found"] - ours["found"]))
            row["months_earlier_interval"] = _interval(draws["earlier"] / draws["later"])
            row["months_gained_interval"] = _interval(draws["gained"] / risks_open)
            row["gained_more_than_ours_interval"] = _interval(
                weights @ (own["gained"] - ours["gained"]) / risks_open
            )
    return rows


def _interval(draws: np.ndarray) -> list[float]:
    return [float(end) for end in np.nanquantile(draws, [0.025, 0.975])]


def draw_picture(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [row["way"] for row in rows][::-1]
    colours = ["#2f6f8f" if name.startswith("model") else "#b8a27a" for name in names]
    for axis, key, ends, words in (
        (left, "found", "found_interval", "risks found in twelve months"),
        (right, "months_gained_a_risk", "months_gained_interval", "months gained for each risk of the year"),
    ):
        values = np.array([row[key] for row in rows][::-1])
        low, high = np.array([row[ends] for row in rows][::-1]).T
        axis.barh(names, values, color=colours)
        axis.errorbar(
            values,
            range(len(names)),
            xerr=[values - low, high - values],
            fmt="none",
            ecolor="#1f2933",
            elinewidth=1,
            capsize=2,
        )
        axis.set_xlabel(words)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def one_county(
    folder: Path, seed: int, households: int, plan: str, share: float
) -> tuple[list[Way], Risks, dict[str, str], int]:
    """All ways played on one county: ways, its risks, village of each household, and how many risks were open
    in the year.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tables").exists():
        rm.synthesise(folder / "tables", households=households, years=5, end="2025-12-31", seed=seed)
    tables = rm.read_tables(folder / "tables")
    root = folder / "project"
    if not root.exists():
        start_project(root, Project.find().root)
    project = Project(root)
    noted = folder / "run.txt"
    if not noted.exists():
        noted.write_text(rm.train(plan, tables, until="2024-12-31", project=project).id)
    days = [dt.date(2025, month, 1) - dt.timedelta(days=1) for month in range(1, 13)]
    scored = scorings(project, tables, noted.read_text(), days, folder / "scored.parquet")
    risks = Risks(folder / "tables_truth" / "risks.parquet")
    begun = sum(
        spell["began_on"] <= days[-1]
        and max(spell["found_on"] or spell["passed_on"] or END, days[0]) > days[0]
        for spells in risks.spells.values()
        for spell in spells
    )
    played = ways()
    for way in played:
        play(way, tables, scored, risks, round(share * households))
        print(f"county {seed}, {way.name}: {way.visits} visits, {len(way.found)} found", flush=True)
    village = dict(
        tables.get("households").select("household_id", "village_code").unique("household_id").iter_rows()
    )
    return played, risks, village, begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--households", type=int, default=8_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14])
    parser.add_argument(
        "--share", type=float, default=0.02, help="visits a month, as a part of the households"
    )
    parser.add_argument("--plan", default="lightgbm_12m")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the counties, the runs and the results; kept for a second look",
    )
    given = parser.parse_args()
    counties = [
        one_county(given.out / str(seed), seed, given.households, given.plan, given.share)
        for seed in given.seeds
    ]
    rows = rows_of(counties)
    recalls: dict[str, Any] = {}
    for at, name in ((0, "none"), (1, "10 %"), (2, "20 %")):
        for seed, (played, risks, *_) in zip(given.seeds, counties, strict=True):
            recalls[f"{name}, county {seed}"] = recall_check([(played[at], risks)])
        recalls[f"{name}, together"] = recall_check([(played[at], risks) for played, risks, *_ in counties])
    risks_open = sum(count for *_, count in counties)
    result = {name: value for name, value in vars(given).items() if name != "out"}
    result |= {"open_risks": risks_open, "rows": rows, "recall": recalls}
    (given.out / "year.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    draw_picture(rows, given.out / "year-of-visits.png")
    print(
        "\n"
        f"{len(counties)} counties, {risks_open} risks were open at some time of the year; "
        f"{round(given.share * given.households)} visits a month each.\n"
    )
    print(
        "| way to make the list | visits made | risks found (by county) | found more or less than ours | "
        "visits a confirmation | months earlier, of those the county found later | found by nobody else | "
        "months gained a risk |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        apart = (
            ""
            if row["way"] == OURS
            else "{:+d} [{:+.0f}, {:+.0f}]".format(row["more_than_ours"], *row["more_than_ours_interval"])
        )
        print(
            (
                f"| {row['way']} | {row['visits']} | {row['found']} "
                f"({', '.join(map(str, row['found_a_county']))}) | {apart} | "
                f"{row['visits_a_confirmation']:.0f} | {{:.1f}} [{{:.1f}}, {{:.1f}}] "
            ).format(row["months_earlier"], *row["months_earlier_interval"])
            + f"| {row['found_by_nobody_else']} "
            + "| {:.2f} [{:.2f}, {:.2f}] |".format(
                row["months_gained_a_risk"], *row["months_gained_interval"]
            )
        )
    print(
        "\n"
        "| random checks | checks | true recall | what is said | confirmed checks, mean | missed, truth | "
        "missed, mean | bias/SE | covered | a single figure in |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, said in recalls.items():
        if "coverage" not in said:
            print(f"| {name} | {said['checks']} | {said['true_recall']:.2f} | {said['said']} | | | | | | |")
            continue
        print(
            f"| {name} | {said['checks']} | {said['true_recall']:.2f} | {said['said']} | "
            f"{said['confirmed_checks_mean']:.1f} | {said['missed_true']} | {said['missed_mean']:.0f} | "
            f"{said['missed_bias_in_standard_errors']:+.2f} | {said['coverage']:.1%} | "
            f"{said['single_figure_given']:.0%} |"
        )


if __name__ == "__main__":
    main()
