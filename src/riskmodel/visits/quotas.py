"""How the visits of a cycle are shared out between townships or teams, and which households get them."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from riskmodel.errors import Fault, UserError
from riskmodel.settings import ScreeningSettings


def quotas_of(everybody: pl.DataFrame, capacity: int, settings: ScreeningSettings) -> dict[str, int]:
    """Visits an area may (proportional, fixed) or must (floor) get. Raises UserError for quotas that cannot
    be."""
    rules = settings.quotas
    here = everybody.filter(pl.col("fate") != "gone")
    sizes = dict(here.group_by("area").agg(households=pl.len()).sort("area").iter_rows())
    if rules.rule == "county":
        return {}
    faults = []
    if rules.by == "team":
        missing = sorted(set(here["township_code"].to_list()) - set(rules.teams))
        if missing:
            found = f"no team for {', '.join(missing)}"
            faults.append(
                Fault(
                    "screening.yaml (quotas.teams)",
                    found,
                    "a team for every township",
                    "Name the team of each.",
                )
            )
    if rules.rule == "floor" and rules.floor * len(sizes) > capacity:
        found = f"{rules.floor} visits for each of {len(sizes)} areas are {rules.floor * len(sizes)}"
        faults.append(
            Fault(
                "screening.yaml (quotas.floor)",
                found,
                f"at most the capacity of {capacity}",
                "Lower the floor.",
            )
        )
    if rules.rule == "fixed":
        strange = sorted(set(rules.fixed) - set(sizes))
        if strange:
            found = f"{', '.join(strange)} has no household"
            faults.append(
                Fault(
                    "screening.yaml (quotas.fixed)", found, f"one of {', '.join(sizes)}", "Correct the code."
                )
            )
        if sum(rules.fixed.values()) > capacity:
            found = f"quotas of {sum(rules.fixed.values())} visits together"
            faults.append(
                Fault(
                    "screening.yaml (quotas.fixed)",
                    found,
                    f"at most the capacity of {capacity}",
                    "Lower a quota, or raise the capacity.",
                )
            )
    if faults:
        raise UserError(faults)
    if rules.rule == "floor":
        return dict.fromkeys(sizes, rules.floor)
    if rules.rule == "fixed":
        return {area: rules.fixed.get(area, 0) for area in sizes}
    return largest_remainders(sizes, capacity)


def largest_remainders(sizes: Mapping[str, int], visits: int) -> dict[str, int]:
    """Share visits out in proportion to the sizes, whole and complete; remainders go to the largest, ties by
    name."""
    total = sum(sizes.values())
    if not total:
        return dict.fromkeys(sizes, 0)
    whole = {area: visits * size // total for area, size in sizes.items()}
    left = visits - sum(whole.values())
    for area in sorted(sizes, key=lambda name: (-(visits * sizes[name] % total), name))[:left]:
        whole[area] += 1
    return whole


def fill_visits(
    ahead: pl.DataFrame,
    rest: pl.DataFrame,
    leads: pl.DataFrame,
    first: list[str],
    room: int,
    quotas: Mapping[str, int],
    settings: ScreeningSettings,
) -> list[str]:
    """Household ids that get the `room` visits: the `first` of those carried over, then everybody in the
    model's order, under the quotas.

    Leads count against the quota of their area. Proportional quotas that an area cannot use go to the model's
    order; fixed ones do not.
    """
    early = set(first)
    everyone = pl.concat([frame.select("household_id", "area", "place") for frame in (ahead, rest)]).sort(
        "place"
    )
    pairs = list(everyone.select("household_id", "area").iter_rows())
    line = [pair for pair in pairs if pair[0] in early] + [pair for pair in pairs if pair[0] not in early]
    if not quotas:
        return [name for name, _ in line[:room]]
    used: dict[str, int] = dict.fromkeys(quotas, 0)
    for area in leads["area"].to_list():
        if area in used:
            used[area] += 1
    chosen: list[str] = []
    for name, area in line:
        if len(chosen) < room and area in quotas and used[area] < quotas[area]:
            chosen.append(name)
            used[area] += 1
    if settings.quotas.rule == "fixed":
        return chosen
    taken = set(chosen)
    others = [name for name, _ in line if name not in taken]
    return chosen + others[: room - len(chosen)]
