"""A fitted model as a folder: LightGBM text and one JSON file, no pickle. What was written is checked before
anything is loaded.

    model.json         learner, feature names, horizons, members or their hashes, calibration, signs, record
    member_0.txt …     trees of each member, as LightGBM writes them (only for learners that are LightGBM)

A damaged LightGBM text aborts the whole process when it is loaded, so every file's SHA-256 is kept in
model.json and compared first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from riskmodel.errors import Fault, ModelError
from riskmodel.files import write_text
from riskmodel.training.calibration import BetaCalibration
from riskmodel.training.learners import LEARNERS, Member
from riskmodel.training.learners.linear import LinearMember
from riskmodel.training.learners.rules import RuleMember
from riskmodel.training.learners.trees import TreeMember
from riskmodel.training.samples import Floats

FORMAT: Final = 1
MODEL_FILE: Final = "model.json"


@dataclass(frozen=True)
class Model:
    """An ensemble with its calibration. Make it with `Model.load`, or in training.

    learner: lightgbm, hazard, logistic, boosting, income_rule, department_rules or external. feature_names:
    the p columns it takes, in order. signs: +1 riskier when higher, -1 riskier when lower, 0 unclear. record:
    where it comes from (plan, hashes, folds, figures).
    """

    learner: str
    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    members: tuple[Member, ...]
    calibration: BetaCalibration
    signs: tuple[int, ...]
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def margins(self, features: Floats) -> Floats:
        """Margin of each member, shape (n, members). features: shape (n, p), float64, NaN unknown, columns as
        feature_names.
        """
        if features.shape[1] != len(self.feature_names):
            raise ModelError(
                Fault(
                    "features",
                    f"{features.shape[1]} columns",
                    f"{len(self.feature_names)} columns, in the order of feature_names",
                    "Select the model's features by name.",
                )
            )
        return np.column_stack([member.margin(features) for member in self.members])

    def margin(self, features: Floats) -> Floats:
        """Mean margin of the members, shape (n,): what the list is ordered by."""
        return mean_of_members(self.margins(features))

    def probability(self, margin: Floats, horizon: int = 12) -> Floats:
        """Calibrated probability within `horizon` months, same shape as the margin. Raises ModelError for a
        horizon it was not made for.
        """
        try:
            return self.calibration.probability(np.asarray(margin, dtype=np.float64), horizon)
        except KeyError:
            known = ", ".join(map(str, self.horizons))
            raise ModelError(
                Fault(
                    f"model {self.version}",
                    f"no horizon of {horizon} months",
                    f"one of {known} months",
                    "Ask for one of these, or train a plan of that horizon.",
                )
            ) from None

    def band(self, features: Floats, horizon: int = 12) -> tuple[Floats, Floats]:
        """10 and 90 % of the probability across members, each shape (n,): how unstable the model is, not how
        sure the future.
        """
        margins = self.margins(features)
        low, high = band_of_members(margins)
        return self.probability(low, horizon), self.probability(high, horizon)

    @property
    def kind(self) -> str:
        """rule, linear, trees (LightGBM) or arrays."""
        return LEARNERS[self.learner].kind

    @property
    def explained(self) -> bool:
        """Whether each feature's part of a score is known."""
        return LEARNERS[self.learner].explained

    @property
    def booster_texts(self) -> list[str]:
        """LightGBM model texts, one a member; empty for other learners."""
        return [member.text for member in self.members if isinstance(member, TreeMember)]

    def contributions(self, features: Floats) -> tuple[Floats, float]:
        """Each feature's part of the mean margin, shape (n, p), and the base; their sum is the margin. Linear
        models and rules only.
        """
        parts = [
            member.contributions(features)
            for member in self.members
            if isinstance(member, (LinearMember, RuleMember))
        ]
        if not parts:
            raise ModelError(
                Fault(
                    f"model {self.version}",
                    f"a {self.learner} model",
                    "a linear model or a rule",
                    "Use screening.explain for trees.",
                )
            )
        return np.mean([values for values, _ in parts], axis=0), float(np.mean([base for _, base in parts]))

    @property
    def version(self) -> str:
        """Short hash of everything that decides a score: the same trees, coefficients and calibration, the
        same version.
        """
        return hashlib.sha256(_canonical(self._content()).encode()).hexdigest()[:12]

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "learner": self.learner,
            "feature_names": list(self.feature_names),
            "signs": list(self.signs),
            "horizons": list(self.horizons),
            "members": [member.as_dict() for member in self.members],
            "calibration": self.calibration.as_dict(),
        }

    def save(self, folder: Path) -> None:
        """Write the folder (made if missing): each file in one piece, model.json last."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for number, text in enumerate(self.booster_texts):
            write_text(folder / f"member_{number}.txt", text, shared=True)
            files[f"member_{number}.txt"] = hashlib.sha256(text.encode()).hexdigest()
        content = {**self._content(), "version": self.version, "files": files, "record": self.record}
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False, default=str)
        seal = hashlib.sha256(_canonical(json.loads(text)).encode()).hexdigest()
        write_text(
            folder / MODEL_FILE,
            json.dumps({**json.loads(text), "seal": seal}, ensure_ascii=False, indent=1) + "\n",
            shared=True,
        )

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a model folder. Raises ModelError: missing, damaged (a hash differs), or of another format."""
        path = folder / MODEL_FILE
        if not path.is_file():
            raise ModelError(
                Fault(
                    str(path), "no such file", "a model folder", "Name the model folder of a run or release."
                )
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            seal = content.pop("seal")
        except (ValueError, KeyError, AttributeError):
            raise ModelError(_damaged(path)) from None
        if hashlib.sha256(_canonical(content).encode()).hexdigest() != seal:
            raise ModelError(_damaged(path))
        if content["format"] != FORMAT:
            raise ModelError(
                Fault(
                    str(path),
                    f"format {content['format']}",
                    f"format {FORMAT}",
                    "Load it with the riskmodel that wrote it.",
                )
            )
        texts = []
        for name, expected in content["files"].items():
            try:
                data = (folder / name).read_bytes()
            except OSError:
                data = b""
            if hashlib.sha256(data).hexdigest() != expected:
                raise ModelError(_damaged(folder / name))
            texts.append(data.decode())
        padded = texts + [""] * (len(content["members"]) - len(texts))
        return cls(
            learner=content["learner"],
            feature_names=tuple(content["feature_names"]),
            horizons=tuple(content["horizons"]),
            members=tuple(
                LEARNERS[content["learner"]].load(stored, text)
                for stored, text in zip(content["members"], padded, strict=True)
            ),
            calibration=BetaCalibration.from_dict(content["calibration"]),
            signs=tuple(content["signs"]),
            record=content["record"],
        )


def mean_of_members(margins: Floats) -> Floats:
    """Mean over members, shape (n,), summed in the members' order so that the number of rows plays no
    part."""
    total = margins[:, 0].copy()
    for column in range(1, margins.shape[1]):
        total += margins[:, column]
    return np.asarray(total / margins.shape[1])


def band_of_members(margins: Floats) -> tuple[Floats, Floats]:
    """10 and 90 % of the members' margins, each shape (n,): `numpy.quantile` along the members, to the bit,
    at a fraction of its cost for a few rows.
    """
    ordered = np.sort(margins, axis=1)
    last = margins.shape[1] - 1
    ends = []
    for share in (0.1, 0.9):
        place = share * last
        below = min(int(place), max(last - 1, 0))
        part = place - below
        lower, upper = ordered[:, below], ordered[:, min(below + 1, last)]
        step = upper - lower
        ends.append(upper - step * (1 - part) if part >= 0.5 else lower + step * part)
    return ends[0], ends[1]


def _canonical(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _damaged(path: Path) -> Fault:
    return Fault(
        str(path),
        "damaged: its SHA-256 is not the one that was written",
        "the file as it was written",
        "Restore it, or train again.",
    )
