"""Who becomes champion: the checks of `training/acceptance.yaml`, waivers with a name and a reason, the
history, the way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from riskmodel.declared import Strict
from riskmodel.errors import Fault, ModelError, PromotionRefused, UserError
from riskmodel.project import Project
from riskmodel.training import registry
from riskmodel.training.comparing import plan_of, predictions_of
from riskmodel.training.learners import LEARNERS
from riskmodel.training.plan import capacities_of

ACCEPTANCE = Path("training") / "acceptance.yaml"
Share = Annotated[float, Field(gt=0, lt=1)]


class Beats(Strict):
    """The paired interval of the difference from the baseline's newest run must exclude 0, on the better
    side."""

    baseline: str
    metric: str
    capacity: Share | None = None


class RatioBounds(Strict):
    """Observed over expected within bounds, or not distinguishable from 1."""

    lowest: Annotated[float, Field(gt=0)]
    highest: Annotated[float, Field(gt=0)]


class RatioBoundsAtTop(RatioBounds):
    capacity: Share


class GroupGap(Strict):
    capacity: Share


class LeakHunt(Strict):
    auc_at_most: float
    lift_at_1_percent_at_most: float
    single_feature_auc_at_most: float
    missing_mark_auc_at_most: float
    gain_share_at_most: Share


class StabilityCheck(Strict):
    capacity: Share
    overlap_at_least: Share


class MonotoneSigns(Strict):
    rows: Annotated[int, Field(ge=1)]
    points: Annotated[int, Field(ge=2)]


class Acceptance(Strict):
    """`training/acceptance.yaml`. A check that is left out is not made; the model record names those made."""

    draws: Annotated[int, Field(ge=50, le=5000)] = 400
    beats_income_gap: Beats | None = None
    beats_department_rules: Beats | None = None
    observed_expected: RatioBounds | None = None
    observed_expected_top: RatioBoundsAtTop | None = None
    no_group_gap: GroupGap | None = None
    leak_hunt: LeakHunt | None = None
    stability: StabilityCheck | None = None
    monotone_signs: MonotoneSigns | None = None

    @property
    def named(self) -> list[str]:
        """The checks that this file asks for."""
        return [
            name for name in type(self).model_fields if name != "draws" and getattr(self, name) is not None
        ]


@dataclass(frozen=True)
class AcceptanceCheck:
    """One check, carried out. found, expected: in words."""

    name: str
    passed: bool
    found: str
    expected: str
    remedy: str

    def line(self) -> str:
        """One line for a terminal: passed or FAILED, name, found and expected."""
        return (
            f"{'passed' if self.passed else 'FAILED':7} {self.name}: {self.found} (expected {self.expected})"
        )


@dataclass(frozen=True)
class Promotion:
    """A promotion that happened. checks: all that were made; waived: check -> reason of those that failed and
    were waived.
    """

    run_id: str
    version: int
    by: str
    because: str
    checks: tuple[AcceptanceCheck, ...]
    waived: Mapping[str, str]
    list_changes: str

    def text(self) -> str:
        """A few lines for a terminal."""
        waivers = [f"waived {name} by {self.by}: {reason}" for name, reason in self.waived.items()]
        return "\n".join(
            [
                *(check.line() for check in self.checks),
                *waivers,
                self.list_changes,
                f"Champion: version {self.version}, run {self.run_id}, by {self.by}: {self.because}",
            ]
        )


def load_acceptance(project: Project) -> Acceptance:
    """The project's acceptance checks. Raises ProjectError with file:line."""
    return project.load(ACCEPTANCE, Acceptance)


def promote(
    project: Project, run_id: str, *, by: str, because: str, waive: Mapping[str, str] | None = None
) -> Promotion:
    """Make a run the champion if it passes every check, or the failed ones are waived by name with a reason.

    Raises PromotionRefused with every failed check; UserError without a name or reason; ModelError if the
    champion changed meanwhile.
    """
    waive = dict(waive or {})
    acceptance = load_acceptance(project)
    _words(by, because, waive, acceptance)
    before = registry.champion(project)
    run = registry.find_run(project, run_id)
    learner = LEARNERS.get(run["tags"].get("riskmodel.learner", ""))
    brought = learner is not None and learner.features is None
    if brought or run["tags"].get("riskmodel.source") == "table":
        raise PromotionRefused(
            Fault(
                f"run {run['id']}",
                "a model that cannot score a county's tables",
                "a run of a plan with `source: county` that was trained here",
                "Compare with it, but promote another.",
            )
        )
    checks = examine(project, run["id"], acceptance)
    failed = [check for check in checks if not check.passed]
    unwaived = [check for check in failed if check.name not in waive]
    if unwaived:
        raise PromotionRefused(
            Fault(check.name, check.found, check.expected, check.remedy) for check in unwaived
        )
    waived = {check.name: waive[check.name] for check in failed}
    changes = list_changes(project, run["id"], before["run_id"] if before else None)
    version = registry.register(project, run["id"])
    registry.set_champion(
        project,
        version,
        expected=before["version"] if before else None,
        entry={
            "kind": "promotion",
            "run_id": run["id"],
            "plan": run["plan"],
            "by": by,
            "because": because,
            "checks": {check.name: "passed" if check.passed else "waived" for check in checks},
            "waived": waived,
            "list_changes": changes,
        },
    )
    registry.annotate(
        project,
        run["id"],
        {
            "by": by,
            "because": because,
            "version": version,
            "checks": [asdict(check) for check in checks],
            "waived": waived,
        },
    )
    return Promotion(
        run_id=run["id"],
        version=version,
        by=by,
        because=because,
        checks=tuple(checks),
        waived=waived,
        list_changes=changes,
    )


def rollback(project: Project, *, by: str, because: str) -> dict[str, Any]:
    """Give the place back to the champion before this one. The history gains an entry; nothing is deleted.

    Raises ModelError when there was none before, UserError without a name and a reason.
    """
    _words(by, because, {}, None)
    now = registry.champion(project)
    entries = registry.history(project)
    # The champions in force, as a stack: a promotion adds one, a rollback removes it. The champion promoted
    # once more is the same place.
    stack: list[dict[str, Any]] = []
    for entry in entries:
        if entry["kind"] == "rollback":
            stack.pop()
        elif not stack or stack[-1]["version"] != entry["version"]:
            stack.append(entry)
    if now is None or len(stack) < 2:
        raise ModelError(
            Fault(
                "champion",
                "there was none before this one",
                "an earlier champion",
                "Promote another run instead.",
            )
        )
    back = stack[-2]
    registry.set_champion(
        project,
        back["version"],
        expected=now["version"],
        entry={
            "kind": "rollback",
            "run_id": back["run_id"],
            "plan": back["plan"],
            "by": by,
            "because": because,
        },
    )
    return {"run_id": back["run_id"], "version": back["version"]}


def _words(by: str, because: str, waive: Mapping[str, str], acceptance: Acceptance | None) -> None:
    faults = []
    if not by.strip():
        faults.append(Fault("--by", "no name", "who decides", "Name the person."))
    if not because.strip():
        faults.append(Fault("--because", "no reason", "why", "Give it in a sentence."))
    for name, reason in waive.items():
        if acceptance is not None and name not in acceptance.named:
            faults.append(
                Fault(
                    "--waive",
                    name,
                    f"one of {', '.join(acceptance.named)}",
                    "Name a check of training/acceptance.yaml.",
                )
            )
        if not reason.strip() or reason.strip() == because.strip():
            faults.append(
                Fault(
                    f"--waive {name}",
                    "no reason of its own",
                    "why this check may fail this time",
                    f"--waive '{name}=REASON'",
                )
            )
    if faults:
        raise UserError(faults)


def load_model_folder(project: Project, which: str = "champion") -> Path:
    """The folder for `Model.load` of the champion or of a run. Raises ModelError when there is none."""
    if which == "champion":
        now = registry.champion(project)
        if now is None:
            raise ModelError(
                Fault(
                    "champion",
                    "there is none yet",
                    "a promoted run",
                    "Promote one: `riskmodel promote RUN --by NAME --because TEXT`.",
                )
            )
        which = now["run_id"]
    return registry.artifact(project, which, "model")


def examine(project: Project, run_id: str, acceptance: Acceptance | None = None) -> list[AcceptanceCheck]:
    """Carry out every check on a run, without promoting it."""
    from riskmodel.training.model import Model

    acceptance = acceptance or load_acceptance(project)
    run = registry.find_run(project, run_id)
    plan = plan_of(project, run["id"])
    predictions = predictions_of(project, run["id"])
    record = Model.load(registry.artifact(project, run["id"], "model")).record
    checks = []
    for name in ("beats_income_gap", "beats_department_rules"):
        wanted = getattr(acceptance, name)
        if wanted is not None:
            checks.append(_beats(project, name, wanted, run, predictions, acceptance.draws))
    from riskmodel.training.evaluation import evaluate
    from riskmodel.training.predictions import capacity_name

    capacities = sorted(
        {0.01, *capacities_of(plan)}
        | ({acceptance.observed_expected_top.capacity} if acceptance.observed_expected_top else set())
    )
    figures = evaluate(predictions, capacities=capacities, draws=acceptance.draws, name=run["plan"])
    if (bounds := acceptance.observed_expected) is not None:
        value, interval = figures.value("observed_expected"), figures.interval("observed_expected")
        checks.append(_within("observed_expected", value, interval, bounds))
    if (top := acceptance.observed_expected_top) is not None:
        value, interval = top_observed_expected(predictions, top.capacity, acceptance.draws)
        checks.append(_within("observed_expected_top", value, interval, top))
    if (gap := acceptance.no_group_gap) is not None:
        checks.append(
            _no_gap(
                predictions,
                [name for name in plan.groups if name in predictions.columns],
                gap,
                acceptance.draws,
                run["plan"],
            )
        )
    if (hunt := acceptance.leak_hunt) is not None:
        lift = figures.value("lift", capacity_name(0.01)), figures.interval("lift", capacity_name(0.01))
        checks.append(_leaks(hunt, figures.value("auc"), lift, record.get("leak_hunt", {})))
    if (steady := acceptance.stability) is not None:
        checks.append(_stability(steady, record.get("stability", {})))
    if (signs := acceptance.monotone_signs) is not None:
        checks.append(_signs(signs, record.get("monotone", {})))
    return checks


def _beats(
    project: Project, name: str, wanted: Beats, run: Mapping[str, Any], predictions: pl.DataFrame, draws: int
) -> AcceptanceCheck:
    from riskmodel.training.comparison import compare_predictions
    from riskmodel.training.evaluation import METRICS

    at = f" at {wanted.capacity:.0%}" if wanted.capacity else ""
    expected = (
        f"better than {wanted.baseline} in {METRICS[wanted.metric].en}{at}, with the paired 95 % interval "
        "beside 0"
    )
    remedy = f"Improve the plan, or promote {wanted.baseline}, which is easier to explain."
    if run["plan"] == wanted.baseline:
        return AcceptanceCheck(
            name=name, passed=True, found=f"it is {wanted.baseline} itself", expected=expected, remedy=remedy
        )
    tables = run["tags"].get("riskmodel.tables_hash")
    same = [
        item
        for item in registry.finished_runs(project)
        if item["plan"] == wanted.baseline
        and item["tags"].get("riskmodel.tables_hash") == tables
        and item["tags"].get("riskmodel.horizon_months") == run["tags"].get("riskmodel.horizon_months")
    ]
    if not same:
        return AcceptanceCheck(
            name=name,
            passed=False,
            found=f"no run of {wanted.baseline} on the same tables",
            expected=expected,
            remedy=f"`riskmodel train {wanted.baseline} --tables DIR`",
        )
    capacity = wanted.capacity or 0.05
    both = compare_predictions(
        {wanted.baseline: predictions_of(project, same[0]["id"]), run["plan"]: predictions},
        capacities=[capacity],
        draws=draws,
    )
    value, low, high = both.difference(run["plan"], wanted.metric, capacity if wanted.capacity else "")
    better = METRICS[wanted.metric].better
    passed = bool(low > 0) if better > 0 else bool(high < 0)
    return AcceptanceCheck(
        name=name,
        passed=passed,
        found=f"difference {value:+.4g} [{low:+.4g}, {high:+.4g}]",
        expected=expected,
        remedy=remedy,
    )


def _within(name: str, value: float, interval: tuple[float, float], bounds: RatioBounds) -> AcceptanceCheck:
    low, high = interval
    passed = bool(bounds.lowest <= value <= bounds.highest) or bool(low <= 1 <= high)
    return AcceptanceCheck(
        name=name,
        passed=passed,
        found=f"{value:.2f} [{low:.2f}, {high:.2f}] confirmed for each one expected",
        expected=f"{bounds.lowest} to {bounds.highest}, or an interval around 1",
        remedy=(
            "Look at the reliability plot and at the as-of dates: has the base rate moved since calibration?"
        ),
    )


def top_observed_expected(
    predictions: pl.DataFrame, capacity: float, draws: int, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Confirmed over expected among the labelled first households of each date, with a village-cluster
    interval.
    """
    from riskmodel.training.keyed import in_list_order
    from riskmodel.training.resampling import interval, village_weights

    top = (
        in_list_order(predictions)
        .with_columns(size=pl.len().over("as_of"))
        .filter(
            (pl.col("rank") <= (capacity * pl.col("size")).round().clip(1)) & pl.col("label").is_not_null()
        )
    )
    villages = sorted(predictions["village_code"].unique())
    sums = (
        pl.DataFrame({"village_code": villages})
        .join(
            top.group_by("village_code").agg(
                pl.col("label").cast(pl.Float64).sum(), pl.col("probability").sum()
            ),
            on="village_code",
            how="left",
        )
        .fill_null(0)
    )
    weights = village_weights(len(villages), draws, seed)
    observed, expected = weights @ sums["label"].to_numpy(), weights @ sums["probability"].to_numpy()
    ratio = np.divide(observed, expected, out=np.full(len(observed), np.nan), where=expected > 0)
    return float(ratio[0]), interval(ratio[1:], villages=len(villages))


def _no_gap(
    predictions: pl.DataFrame, groups: list[str], gap: GroupGap, draws: int, name: str
) -> AcceptanceCheck:
    from riskmodel.training.fairness import audit_groups

    expected = f"no group whose recall at {gap.capacity:.0%} is lower than chance explains"
    remedy = (
        "Read `03_is_it_fair_and_calibrated`; look for a feature that is less informative for that group."
    )
    if not groups:
        return AcceptanceCheck(
            name="no_group_gap",
            passed=False,
            found="no audit groups in the predictions",
            expected=expected,
            remedy="Name them in the plan (groups).",
        )
    audit = audit_groups(predictions, groups=groups, capacity=gap.capacity, draws=draws, name=name)
    unsaid = f"; too few confirmed to say: {', '.join(audit.insufficient)}" if audit.insufficient else ""
    found = f"flagged: {', '.join(audit.flagged)}" if audit.flagged else "none flagged"
    return AcceptanceCheck(
        name="no_group_gap", passed=not audit.flagged, found=found + unsaid, expected=expected, remedy=remedy
    )


def _leaks(
    hunt: LeakHunt, auc: float, lift: tuple[float, tuple[float, float]], found: Mapping[str, Any]
) -> AcceptanceCheck:
    suspicious = []
    if auc > hunt.auc_at_most:
        suspicious.append(f"AUC {auc:.3f}")
    if lift[1][0] > hunt.lift_at_1_percent_at_most:
        suspicious.append(f"lift of the first 1 % {lift[0]:.0f}")
    for item in found.get("features", []):
        limit = (
            hunt.missing_mark_auc_at_most if item["what"] == "missing" else hunt.single_feature_auc_at_most
        )
        if item["auc"] > limit:
            suspicious.append(f"{item['feature']} ({item['what']}) alone has AUC {item['auc']:.2f}")
    if "gain" not in found:
        suspicious.append("what each feature brings was not measured")
    gain = found.get("gain", {"features": []})
    suspicious += [
        f"{item['feature']} brings {item['share']:.0%} of the whole ({gain['measure']})"
        for item in gain["features"]
        if item["share"] > hunt.gain_share_at_most
    ]
    return AcceptanceCheck(
        name="leak_hunt",
        passed=not suspicious,
        found=", ".join(suspicious)
        or f"AUC {auc:.3f}, lift of the first 1 % {lift[0]:.0f}, no single feature stands out",
        expected="nothing better than the field allows",
        remedy=(
            "Ask of each feature named whether it was written at or after identification; leave it out "
            "(`features.leave_out`) and train again."
        ),
    )


def _stability(wanted: StabilityCheck, found: Mapping[str, Any]) -> AcceptanceCheck:
    value = found.get("half_ensemble_overlap", {}).get(str(wanted.capacity))
    expected = f"at least {wanted.overlap_at_least:.0%} of the first {wanted.capacity:.0%} in common"
    if value is None:
        same = found.get("members") == 1
        return AcceptanceCheck(
            name="stability",
            passed=same,
            found="nothing random in it" if same else "not measured at this share",
            expected=expected,
            remedy="Train again.",
        )
    return AcceptanceCheck(
        name="stability",
        passed=value >= wanted.overlap_at_least,
        found=f"{value:.0%} in common between two halves of the ensemble",
        expected=expected,
        remedy="Raise `members` in the plan.",
    )


def _signs(wanted: MonotoneSigns, found: Mapping[str, Any]) -> AcceptanceCheck:
    expected = f"no broken sign on {wanted.rows} rows × {wanted.points} points"
    if not found.get("promised"):
        return AcceptanceCheck(
            name="monotone_signs",
            passed=True,
            found="the plan promises no signs",
            expected=expected,
            remedy="",
        )
    broken = found.get("broken", [])
    measured = found.get("rows", 0) >= wanted.rows and found.get("points", 0) >= wanted.points
    text = (
        f"broken: {', '.join(broken)}"
        if broken
        else f"holds on {found.get('rows')} rows × {found.get('points')} points"
    )
    return AcceptanceCheck(
        name="monotone_signs",
        passed=not broken and measured,
        found=text,
        expected=expected,
        remedy="Report it: LightGBM should not break a declared sign.",
    )


def list_changes(project: Project, run_id: str, champion_run: str | None, capacity: float = 0.05) -> str:
    """How the first households of the common test dates differ from the champion's, in a sentence."""
    if champion_run is None or champion_run == run_id:
        return "No champion before it: there is no earlier list to compare with."
    from riskmodel.errors import DataError
    from riskmodel.training.lists import stability

    old, new = (predictions_of(project, item) for item in (champion_run, run_id))
    try:
        lists = stability(old, new, capacity=capacity)
    except DataError:
        return "The champion was tested on other as-of dates or households: the lists cannot be compared."
    return lists.text()
