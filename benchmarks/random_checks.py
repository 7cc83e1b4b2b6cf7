"""When random checks are enough: what a figure of recall is worth at every number of risks that checks meet
in a year.

    python benchmarks/random_checks.py [--counties 2000] [--out FILE.json]

Made-up counties with known truth: lists once a month, two score layers with different chances, 8 % of the
drawn not reached. `risks a year` is the mean number of risks that a year's checks would meet. Three questions
are asked of each:

* always: if the ratio were given whatever was found (as a plain Horvitz-Thompson ratio is);
* waiting: the county pools its cycles until the first figure appears, as `riskmodel recall` does from month
  to month;
* after a year: the figure of those counties only to which chance gave enough in twelve months.

Bias is in standard errors of one estimate. The interval is always given, so its coverage counts every county
and month asked.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodel.training.random_checks import ENOUGH_CONFIRMED, recall_from_checks

RATES = (1, 2, 4, 7, 10, 15, 25, 40)
LONGEST = 20 * 12  # months that a county goes on asking
CHANCES = (0.06, 0.02)  # upper and lower score layer
REACHED = 0.92


class County:
    """Months of lists: risks on the list, risks missed in each layer, and those of them that checks met, as
    counts.
    """

    def __init__(self, rate: float, recall: float, months: int, chance: np.random.Generator) -> None:
        # Two fifths of the risks that checks meet lie in the upper layer.
        met = rate / 12 * np.array([0.4, 0.6])
        self.missed = chance.poisson(met / (np.array(CHANCES) * REACHED), (months, 2))
        self.listed = chance.poisson(self.missed.sum(axis=1).mean() * recall / (1 - recall), months)
        self.drawn = chance.binomial(self.missed, CHANCES)
        self.found = chance.binomial(self.drawn, REACHED)
        self.unreached = chance.binomial(60, 1 - REACHED, (months, 2))

    def truth(self, months: int) -> float:
        listed = self.listed[:months].sum()
        return float(listed / (listed + self.missed[:months].sum()))

    def table(self, months: int) -> pl.DataFrame:
        """What `recall_from_checks` takes, of the first months together."""
        groups = [
            (int(self.listed[:months].sum()), "listed", 1.0, 1.0, 0),
            (10 * months, "listed", 1.0, 0.0, 0),
        ]
        for layer, chance in enumerate(CHANCES):
            found, drawn = (int(kind[:months, layer].sum()) for kind in (self.found, self.drawn))
            empty = int(self.unreached[:months, layer].sum())
            missed = int(self.missed[:months, layer].sum())
            groups += [
                (found, "random_check", chance, 1.0, layer),
                (60 * months - empty, "random_check", chance, 0.0, layer),
                (drawn - found + empty, "random_check", chance, np.nan, layer),
                (missed - drawn + 100, "none", chance, np.nan, layer),
            ]
        counts, *columns = zip(*groups, strict=True)
        names = ("route", "inclusion_probability", "label", "layer")
        return pl.DataFrame(
            {name: np.repeat(np.array(column), counts) for name, column in zip(names, columns, strict=True)}
        )


def plain_ratio(county: County, months: int) -> float:
    """The ratio that is withheld below ENOUGH_CONFIRMED."""
    result = recall_from_checks(county.table(months), layers=["layer"])
    assert result.missed.value is not None
    everything = result.confirmed_listed + result.missed.value
    return result.confirmed_listed / everything if everything else 1.0


def ask(rate: float, recall: float, counties: int, seed: int = 1) -> dict[str, Any]:
    """One line: counties with this rate and this true recall, asked in the three ways."""
    chance = np.random.default_rng(seed)
    always, waiting, year, waited = [], [], [], []
    covered = asked = 0
    for _ in range(counties):
        county = County(rate, recall, LONGEST, chance)
        truth = county.truth(12)
        always.append(plain_ratio(county, 12) - truth)
        said = recall_from_checks(county.table(12), layers=["layer"]).recall
        assert said.low is not None and said.high is not None
        covered += said.low <= truth <= said.high
        asked += 1
        if said.value is not None:
            year.append(said.value - truth)
        # Asked again every month; the figure cannot come before enough was found, so the first month to ask
        # is known.
        enough = np.flatnonzero(np.cumsum(county.found.sum(axis=1)) >= ENOUGH_CONFIRMED)
        for months in range(int(enough[0]) + 1 if len(enough) else LONGEST, LONGEST + 1):
            figure = recall_from_checks(county.table(months), layers=["layer"]).recall
            if figure.value is not None:
                assert figure.low is not None and figure.high is not None
                waiting.append(figure.value - county.truth(months))
                waited.append(months)
                asked += 1
                covered += figure.low <= county.truth(months) <= figure.high
                break
    return {
        "risks_a_year": rate,
        "true_recall": recall,
        "plain_ratio_mean": float(np.mean(always) + recall),
        "waiting_share": len(waiting) / counties,
        "waiting_months": float(np.median(waited)) if waited else None,
        "waiting_mean_error": _mean(waiting),
        "waiting_bias": _bias(waiting),
        "year_share": len(year) / counties,
        "year_mean_error": _mean(year),
        "year_bias": _bias(year, np.std(always)),
        "coverage": covered / asked,
    }


def _mean(gaps: list[float]) -> float | None:
    return float(np.mean(gaps)) if gaps else None


def _bias(gaps: list[float], spread: float | np.floating[Any] | None = None) -> float | None:
    return float(np.mean(gaps) / (np.std(gaps) if spread is None else spread)) if len(gaps) > 20 else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counties", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    given = parser.parse_args()
    rows = []
    print(f"a figure is given from {ENOUGH_CONFIRMED} confirmed checks on; {given.counties} counties a line")
    print(
        "risks a year  true recall | plain ratio | waiting: counties  months  mean error  bias/SE | after a "
        "year: counties  mean error  bias/SE | coverage"
    )
    for recall in (0.2, 0.5):
        for rate in RATES:
            row = ask(rate, recall, given.counties, seed=rate)
            rows.append(row)
            shown = {name: float("nan") if value is None else value for name, value in row.items()}
            print(
                (
                    "{risks_a_year:12} {true_recall:12.2f} | {plain_ratio_mean:11.2f} | "
                    "{waiting_share:17.0%} {waiting_months:7.0f} {waiting_mean_error:+11.3f} "
                    "{waiting_bias:+8.2f} | {year_share:22.1%} {year_mean_error:+11.3f} {year_bias:+8.2f} | "
                    "{coverage:8.3f}"
                ).format(**shown),
                flush=True,
            )
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
