"""Entry points: a synthetic county in memory, or as a folder of Parquet with the truth beside it."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.synthetic import life, run, seeds
from riskmodel.synthetic.dynamics import Dynamics, write_down
from riskmodel.synthetic.people import Calendar, make_people
from riskmodel.synthetic.records import Departments
from riskmodel.tables import Tables, from_frames
from riskmodel.tables.county import dtype_of
from riskmodel.tables.schema import TABLES
from riskmodel.vocabulary import RISK_KINDS

HORIZON = 12
# a bound on the households of a county that is written to a folder, for trying commands out
AT_MOST = "RISKMODEL_HOUSEHOLDS_AT_MOST"
DRAWS = 12
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Truth:
    """What no department knows.

    scores: household_id, as_of, true_probability_12m, outcome_12m; one row a household of the cohort and
    quarter start, from one year after the data begin to the day after they end. risks: household_id,
    began_on, found_on?, passed_on?, risk_kinds, object_class; one row for each risk that truly began, found
    or not, up to twelve months after the data end. about: what the probability conditions on, its own AUC,
    the base rate, the seed.
    """

    scores: pl.DataFrame
    risks: pl.DataFrame
    about: dict[str, Any]


def synthetic_county(
    households: int = 2_000,
    years: int = 4,
    end: dt.date = dt.date(2025, 12, 31),
    seed: int = 1,
    progress: Progress | None = None,
) -> tuple[Tables, pl.DataFrame]:
    """A county in memory, and the true probabilities (see `Truth.scores`).

    households: how many at the beginning; years: how long the data are; end: no row is known after it; seed:
    same seed, same bytes. Raises DataError for numbers that make no county.
    """
    frames, truth = make_county(households, years, end, seed, progress)
    return from_frames(frames), truth.scores


def synthesise(
    folder: str | os.PathLike[str],
    *,
    households: int,
    years: int,
    end: dt.date,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Simulate a county and write its tables, and the truth behind them.

    Writes one Parquet file for each table of the contract to `folder`, and `truth.parquet`, `risks.parquet`
    and `README.json` to the sibling folder `<folder>_truth`.

    households: 100 or more; RISKMODEL_HOUSEHOLDS_AT_MOST in the environment lowers it. years: length of the
    records, 1 to 20. end: their last day. seed: 0 or more; the same numbers give the same county. progress:
    called with a text at each step.

    All files appear, or none: on a full disk an older county in that folder stays as it was. Raises DataError
    for numbers out of these ranges, OSError or Polars' error for a disk that is full.
    """
    households = _bounded(households)
    target = Path(folder)
    beside = target.with_name(target.name + "_truth")
    new = [path for path in (target, beside) if not path.exists()]
    for path in (target, beside):  # before the work: a path that can be no folder is refused at once
        path.mkdir(parents=True, exist_ok=True)
    drafts: dict[Path, Path] = {}

    def draft(path: Path) -> Path:
        drafts[path] = path.with_name(path.name + ".unfinished")
        return drafts[path]

    try:
        frames, truth = make_county(households, years, end, seed, progress)
        for name, frame in frames.items():
            frame.write_parquet(draft(target / f"{name}.parquet"))
        truth.scores.write_parquet(draft(beside / "truth.parquet"))
        truth.risks.write_parquet(draft(beside / "risks.parquet"))
        about = json.dumps(truth.about, indent=2) + "\n"
        draft(beside / "README.json").write_text(about, encoding="utf-8")
        for path, unfinished in drafts.items():
            os.replace(unfinished, path)
    except BaseException:
        for unfinished in drafts.values():
            unfinished.unlink(missing_ok=True)
        for path in new:
            with suppress(OSError):
                path.rmdir()
        raise


def _bounded(households: int) -> int:
    """The number of households, or the bound of RISKMODEL_HOUSEHOLDS_AT_MOST where that is lower. Raises
    DataError for a bound that is no number.
    """
    bound = os.environ.get(AT_MOST, "")
    if not bound:
        return households
    if not bound.isdigit() or int(bound) < 100:
        raise DataError(Fault(AT_MOST, repr(bound), "a number, 100 or more", "Correct it, or unset it."))
    return min(households, int(bound))


def make_county(
    households: int,
    years: int,
    end: dt.date,
    seed: int,
    progress: Progress | None = None,
    dynamics: Dynamics | None = None,
) -> tuple[dict[str, pl.DataFrame], Truth]:
    """The contract's tables as frames (with the duplicates that departments deliver), and the truth.
    dynamics: another kind of county.
    """
    faults = [
        Fault(f"synthesise: {name}", f"{value}", expected, "Give another number.")
        for name, value, expected in (("households", households, "100 or more"), ("years", years, "1 to 20"))
        if not (households >= 100 if name == "households" else 1 <= years <= 20)
    ]
    if seed < 0:
        faults.append(Fault("synthesise: seed", f"{seed}", "0 or more", "Give another number."))
    if faults:
        raise DataError(faults)
    dynamics = dynamics or Dynamics()
    report = progress or (lambda _: None)
    calendar = Calendar.of(years, end)
    moy = calendar.month_of_year
    quarters = np.array(
        [m for m in range(calendar.begin + 12, calendar.last + 2) if moy[m] % 3 == 0], dtype=np.int64
    )
    report("who lives in the county")
    areas, people = make_people(households, calendar, seed, seeds.stream(seed, seeds.PEOPLE))
    report("how they live")
    lived = run.live(areas, people, calendar, seed, quarters, dynamics)
    report("what the departments write down")
    frames = {name: _typed(name, frame) for name, frame in Departments(lived, seed).tables().items()}
    frames = write_down(frames, dynamics, end, seed)
    report("the truth")
    truth = _truth(lived, households, years, seed)
    if dynamics != Dynamics():
        usual = Dynamics()
        truth.about["dynamics"] = {
            name: value for name, value in vars(dynamics).items() if value != getattr(usual, name)
        }
    return frames, truth


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        pl.col(column.name).cast(dtype_of(column))
        for column in TABLES[name].columns
        if column.name in frame.columns
    )


def _truth(lived: run.Lived, households: int, years: int, seed: int) -> Truth:
    probability = run.true_probability(lived, seed, HORIZON, DRAWS)
    starts = lived.calendar.month_starts
    kind, month = lived.events[:, life.E_KIND].astype(int), lived.events[:, life.E_MONTH].astype(int)
    of = lived.events[:, life.E_HOUSEHOLD].astype(int)
    ids = pl.Series("household_id", lived.people.household_id.tolist(), dtype=pl.String)
    parts = []
    for k, start in enumerate(lived.snapshot_months):
        outcome = np.zeros(len(probability[k]), np.int8)
        outcome[of[(kind == life.FOUND) & (month >= start) & (month < start + HORIZON)]] = 1
        known = np.flatnonzero(~np.isnan(probability[k]))
        part = pl.DataFrame(
            {
                "household_id": ids[known],
                "as_of": np.repeat(starts[start], len(known)),
                "true_probability_12m": probability[k][known],
                "outcome_12m": outcome[known],
            }
        )
        parts.append(part.with_columns(pl.col("as_of").cast(pl.Date)))
    scores = pl.concat(parts).sort("as_of", "household_id")
    p, o = scores["true_probability_12m"].to_numpy(), scores["outcome_12m"].to_numpy()
    return Truth(scores, _risks(lived, ids), _about(lived, p, o, households, years, seed))


def _risks(lived: run.Lived, ids: pl.Series) -> pl.DataFrame:
    """Each risk that began while the data run or within twelve months after, and how it went on."""
    starts = lived.calendar.month_starts
    events = lived.events
    kind, month, of = (events[:, c].astype(int) for c in (life.E_KIND, life.E_MONTH, life.E_HOUSEHOLD))
    day = starts[month] + 1 + np.floor(events[:, life.E_U] * 26).astype(int)
    ours = np.flatnonzero(np.isin(kind, (life.BEGAN, life.FOUND, life.PASSED)))
    ours = ours[np.lexsort((month[ours], of[ours]))]
    began = kind[ours] == life.BEGAN
    # The next event of the same household ends the spell; the events of a household alternate.
    follows = np.zeros(len(ours), bool)
    follows[:-1] = (of[ours[1:]] == of[ours[:-1]]) & ~began[1:]
    nxt = np.minimum(np.arange(len(ours)) + 1, len(ours) - 1)
    never = np.datetime64("NaT")
    found = np.where(follows & (kind[ours[nxt]] == life.FOUND), day[ours[nxt]], never)
    passed = np.where(follows & (kind[ours[nxt]] == life.PASSED), day[ours[nxt]], never)
    rows = ours[began]
    names = list(RISK_KINDS)
    words = [
        ";".join(name for bit, name in enumerate(names) if value >> bit & 1)
        for value in events[rows, life.E_A].astype(int)
    ]
    classes = np.array(["unstable_lifted", "marginal", "sudden"], object)[events[rows, life.E_B].astype(int)]
    frame = pl.DataFrame(
        {
            "household_id": ids[of[rows]],
            "began_on": pl.Series(starts[month[rows]]).cast(pl.Date),
            "found_on": pl.Series(found[began].astype("datetime64[D]")).cast(pl.Date),
            "passed_on": pl.Series(passed[began].astype("datetime64[D]")).cast(pl.Date),
            "risk_kinds": words,
            "object_class": classes.tolist(),
        }
    )
    over = pl.coalesce("found_on", "passed_on").fill_null(dt.date(9999, 1, 1)) >= lived.calendar.start
    return frame.filter(over).sort("began_on", "household_id")


def _about(
    lived: run.Lived,
    p: npt.NDArray[np.float64],
    o: npt.NDArray[np.int8],
    households: int,
    years: int,
    seed: int,
) -> dict[str, Any]:
    calendar = lived.calendar
    kind, month = lived.events[:, life.E_KIND].astype(int), lived.events[:, life.E_MONTH].astype(int)
    inside = (month >= calendar.begin) & (month <= calendar.last)
    classes = lived.events[(kind == life.FOUND) & inside, life.E_B].astype(int)
    share = np.bincount(classes, minlength=3) / max(len(classes), 1)
    command = (
        f"riskmodel synthesise DIR --households {households} --years {years} --end "
        f"{calendar.end} --seed {seed}"
    )
    return {
        "true_auc_12m": round(auc(p, o), 4),
        "base_rate_12m": round(float(o.mean()), 5),
        "mean_true_probability_12m": round(float(p.mean()), 5),
        "newly_found_a_year": round(len(classes) / (years * households), 5),
        "object_classes": dict(
            zip(("unstable_lifted", "marginal", "sudden"), share.round(3).tolist(), strict=True)
        ),
        "rows": len(p),
        "households": households,
        "years": years,
        "start": str(calendar.start),
        "end": str(calendar.end),
        "seed": seed,
        "command": command,
        "true_probability_12m": (
            "Chance that a visit confirms a risk in the 12 months from as_of (a quarter start), for a "
            "household that is not monitored then. It conditions on the whole state of the household at "
            "as_of: incomes, bills, work, illness, debts, savings, stress, lasting and passing chance that "
            "no record shows, and whether a risk has begun that nobody has seen; on the household's "
            "composition as it is then; and on the calendar of sweeps, lines, prices and job markets. "
            f"Floods and falls of farm prices of the 12 months are drawn again. Mean over {DRAWS} simulated "
            "futures with importance sampling of rare blows."
        ),
        "outcome_12m": (
            "1: a visit confirmed a risk in these 12 months, known in time or not, also after `end`."
        ),
        "risks": "risks.parquet: when each risk truly began, and when it was found or passed by itself.",
    }


def auc(score: npt.NDArray[np.float64], outcome: npt.NDArray[np.int8]) -> float:
    """Area under the ROC curve, ties counted half. nan without both outcomes."""
    rank = pl.Series(score).rank("average").to_numpy()
    positive = outcome > 0
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return (
        float((rank[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
        if ones and zeros
        else float("nan")
    )
