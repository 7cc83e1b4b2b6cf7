"""Scores: the cohort of a day in order, each household with its probability, band, reasons and what is needed
to compute it again.

The order is that of the raw margin; ties end in a keyed hash of the household, never in the order of a file.
A score is a priority signal for verification, not a finding about anybody.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.calendar import day
from riskmodel.errors import DataError, Fault, ModelError
from riskmodel.explaining.contributions import Explainer
from riskmodel.features.catalogue import CATALOGUE_FILE, Catalogue, catalogue_files, load_catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.screening import wording
from riskmodel.screening.gate import pass_value_gate
from riskmodel.screening.grades import GUARANTEE_RULE, Grading
from riskmodel.screening.reasons import NOTHING, Reason, ReasonTable, give_reasons
from riskmodel.screening.reference import Reference
from riskmodel.screening.wordbook import Wordbook, plain_entry
from riskmodel.settings import ScreeningSettings, load_settings
from riskmodel.tables import Tables
from riskmodel.tables.schema import TABLES
from riskmodel.tables.staleness import stale_note
from riskmodel.training.cohorts import cohort
from riskmodel.training.model import Model, band_of_members, mean_of_members
from riskmodel.vocabulary import COUNTY_DIGITS, GRADES, RISK_KINDS, SIGNAL_EN, SIGNAL_ZH, TOWNSHIP_DIGITS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
HASH_BYTES: Final = 16
RULE: Final = "rule_"


def feature_hashes(values: Floats) -> list[str]:
    """BLAKE2b of each row's bytes (little-endian float64, in the model's order of features), 32 hex digits.

    One NaN and one zero: NaN of any payload and -0.0 hash like the ordinary ones, because their scores are
    the same.
    """
    plain = np.ascontiguousarray(values, dtype="<f8") + 0.0  # -0.0 + 0.0 is 0.0
    plain[np.isnan(plain)] = np.nan
    return [
        hashlib.blake2b(row, digest_size=HASH_BYTES).hexdigest()
        for row in plain.view(f"V{8 * plain.shape[1]}").ravel()
    ]


def in_order(margin: Floats, household_id: npt.NDArray[np.object_], key: str) -> npt.NDArray[np.intp]:
    """Positions by margin, highest first; equal margins by a keyed hash of the household."""
    order = np.argsort(-margin, kind="stable")
    ranked = margin[order]
    tied = np.flatnonzero(ranked[1:] == ranked[:-1])
    if not len(tied):
        return order
    first = np.concatenate([[True], ranked[1:] != ranked[:-1]])
    starts = np.flatnonzero(first)
    stops = np.append(starts[1:], len(order))
    secret = hashlib.blake2b(key.encode(), digest_size=32).digest()
    for start, stop in zip(starts, stops, strict=True):
        if stop - start > 1:
            some = order[start:stop]
            hashes = [hashlib.blake2b(str(item).encode(), key=secret).digest() for item in household_id[some]]
            order[start:stop] = some[sorted(range(len(some)), key=hashes.__getitem__)]
    return order


def data_dates(tables: Tables, as_of: dt.date) -> dict[str, dt.date]:
    """How new each table is on the day: table -> newest `known_on` on or before it. Absent and empty tables
    are left out."""
    dates = {}
    for name, frame in tables.frames.items():
        if TABLES[name].form == "values":
            continue
        newest = frame.filter(pl.col("known_on") <= as_of)["known_on"].max()
        if isinstance(newest, dt.date):
            dates[name] = newest
    return dates


@dataclass(frozen=True)
class Explained:
    """One household's score with its reasons. Never shown without SIGNAL_ZH or SIGNAL_EN."""

    household_id: str
    as_of: dt.date
    horizon_months: int
    rank: int
    of: int
    probability: float
    low: float
    high: float
    grade: str
    risk_kinds: tuple[str, ...]
    raising: tuple[Reason, ...]
    lowering: tuple[Reason, ...]
    notes_zh: str
    notes_en: str
    checks_zh: str
    checks_en: str
    model_version: str
    notes_beside_reasons: tuple[str, str]

    def __iter__(self) -> Any:
        return iter((*self.raising, *self.lowering))

    def __len__(self) -> int:
        return len(self.raising) + len(self.lowering)

    def text(self) -> str:
        """Both languages, for a terminal or a printed page. A gap in the data that a reason names is not
        repeated."""
        notes_zh, notes_en = self.notes_beside_reasons
        zh = [
            (
                f"{self.household_id}　截止日{wording.format_date(self.as_of, 'zh')}　"
                f"第{self.rank:,}位（共{self.of:,}户）"
            ),
            (
                f"今后{self.horizon_months}个月概率 {self.probability:.1%}（波动区间 {self.low:.1%} 至 "
                f"{self.high:.1%}）　优先级：{GRADES[self.grade][0]}"
            ),
            "抬高风险：",
            *(f"  {place}. {reason.zh}" for place, reason in enumerate(self.raising, 1)),
            *([f"  {NOTHING['zh']}"] if not self.raising else []),
            *(["降低风险："] if self.lowering else []),
            *(f"  · {reason.zh}" for reason in self.lowering),
            *([f"数据提示：{notes_zh}"] if notes_zh else []),
            *(
                ["入户核实：", *(f"  {line}" for line in self.checks_zh.splitlines())]
                if self.checks_zh
                else []
            ),
            SIGNAL_ZH,
        ]
        kinds = ", ".join(RISK_KINDS[kind][1] for kind in self.risk_kinds)
        en = [
            (
                f"{self.household_id}, as of {wording.format_date(self.as_of, 'en')}: place {self.rank:,} "
                f"of {self.of:,}"
            ),
            (
                f"Probability within {self.horizon_months} months {self.probability:.1%} (band "
                f"{self.low:.1%} to {self.high:.1%}), grade {GRADES[self.grade][1]}"
            )
            + (f", risk kinds: {kinds}" if kinds else ""),
            "Raises the risk:",
            *(f"  {place}. {_capital(reason.en)}" for place, reason in enumerate(self.raising, 1)),
            *([f"  {NOTHING['en']}"] if not self.raising else []),
            *(["Lowers it:"] if self.lowering else []),
            *(f"  · {_capital(reason.en)}" for reason in self.lowering),
            *([f"About the data: {notes_en}"] if notes_en else []),
            *(
                ["To verify:", *(f"  {line}" for line in self.checks_en.splitlines())]
                if self.checks_en
                else []
            ),
            SIGNAL_EN,
        ]
        return "\n".join([*zh, "", *en])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class ScoredRows:
    """What the score pipeline gives for n households, in the order of their matrix.

    values: what the model was given, shape (n, p). margin, probability, low, high: shape (n,); low and high:
    10 and 90 % of the members. table: their reasons. base: the part of the margin that no feature has.
    reference: what the values were compared with.
    """

    values: Floats
    margin: Floats
    probability: Floats
    low: Floats
    high: Floats
    table: ReasonTable
    base: float
    reference: Reference


@dataclass(frozen=True)
class Scores:
    """The scored cohort of a day. The texts and the frame are written when they are first asked for.

    matrix: all features of the cohort. table: its reasons. probability, low, high, margin, rank, grade: shape
    (n,), in the matrix's order; order: positions in the matrix by rank. values: what the model was given,
    shape (n, p). signal: the sentence under which anything of it may be shown.
    """

    as_of: dt.date
    horizon: int
    model_version: str
    catalogue_hash: str
    policy_hash: str
    matrix: FeatureMatrix
    values: Floats
    table: ReasonTable
    base: float
    reference: Reference
    order: npt.NDArray[np.intp]
    margin: Floats
    probability: Floats
    low: Floats
    high: Floats
    rank: npt.NDArray[np.int64]
    grade: npt.NDArray[np.object_]
    note: str = ""
    signal_zh: str = SIGNAL_ZH
    signal_en: str = SIGNAL_EN

    def __len__(self) -> int:
        return len(self.order)

    @property
    def stale(self) -> tuple[str, str] | None:
        """A warning in zh and en when the as-of date is long after the newest data; None otherwise."""
        return stale_note(self.reference.data_dates, self.as_of)

    def pandas(self) -> pd.DataFrame:
        """One row a household, sorted by rank: household_id, as_of, horizon_months, probability, low, high
        (all 0 to 1), margin, rank (1 is first), grade, risk_kinds (`;`-separated), reasons_zh, reasons_en,
        notes_zh, notes_en (gaps in the data), model_version, village_code, township_code, county_code,
        catalogue_hash, policy_hash, reference_hash, feature_hash and the rule columns (1 hit, 0 not, missing:
        unknown).
        """
        return self.frame.to_pandas()

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The same in polars."""
        return self._columns(self.table, np.arange(len(self)))[self.order]

    def _columns(self, some: ReasonTable, places: npt.NDArray[np.intp]) -> pl.DataFrame:
        """The only list of the columns of scores: one row for each of these positions of the matrix. some:
        their reasons."""
        n = len(places)
        villages = self.matrix.village_code[places].tolist()

        def same(value: str) -> pl.Series:
            return pl.repeat(value, n, dtype=pl.String, eager=True)

        return pl.DataFrame(
            {
                "household_id": pl.Series(self.matrix.household_id[places].tolist(), dtype=pl.String),
                "as_of": pl.repeat(self.as_of, n, dtype=pl.Date, eager=True),
                "horizon_months": np.full(n, self.horizon, np.int32),
                "probability": self.probability[places],
                "low": self.low[places],
                "high": self.high[places],
                "margin": self.margin[places],
                "rank": self.rank[places],
                "grade": pl.Series(self.grade[places].tolist(), dtype=pl.String),
                "risk_kinds": pl.Series(some.risk_kinds, dtype=pl.String),
                "reasons_zh": some.text_column("zh"),
                "reasons_en": some.text_column("en"),
                "notes_zh": pl.Series(some.notes("zh"), dtype=pl.String),
                "notes_en": pl.Series(some.notes("en"), dtype=pl.String),
                "model_version": same(self.model_version),
                "village_code": pl.Series(villages, dtype=pl.String),
                "township_code": pl.Series([code[:TOWNSHIP_DIGITS] for code in villages], dtype=pl.String),
                "county_code": pl.Series([code[:COUNTY_DIGITS] for code in villages], dtype=pl.String),
                "catalogue_hash": same(self.catalogue_hash),
                "policy_hash": same(self.policy_hash),
                "reference_hash": same(self.reference.hash),
                "feature_hash": pl.Series(feature_hashes(self.values[places]), dtype=pl.String),
                **{name: pl.Series(self.matrix.column(name)[places]).fill_nan(None) for name in self._rules},
            }
        )

    @property
    def _rules(self) -> list[str]:
        return [name for name in self.matrix.names if name.startswith(RULE)]

    @cached_property
    def _places(self) -> dict[str, int]:
        """household_id -> position in the matrix"""
        return {str(name): place for place, name in enumerate(self.matrix.household_id)}

    def place(self, household_id: str) -> int:
        """Position of a household in the matrix. Raises DataError when it was not scored."""
        try:
            return self._places[household_id]
        except KeyError:
            raise DataError(
                Fault(
                    f"household {household_id}",
                    f"not in the cohort as of {self.as_of}",
                    "a household of the cohort",
                    "Check the id. Households without members in force, and monitored ones, are not scored.",
                )
            ) from None

    def row(self, household_id: str) -> dict[str, Any]:
        """The columns of one household. Raises DataError when it was not scored."""
        places = np.array([self.place(household_id)])
        return self._columns(self.table.only(places), places).row(0, named=True)

    def reasons(self, household_id: str) -> Explained:
        """The reasons of one household, with `.text()` in both languages. Raises DataError when it was not
        scored."""
        place = self.place(household_id)
        one = self.table.only(np.array([place]))
        reasons = one.of(0)
        kinds = tuple(kind for kind in one.risk_kinds[0].split(";") if kind)
        labour = self.has_labour(place)
        book = self.table.wordbook
        return Explained(
            household_id=household_id,
            as_of=self.as_of,
            horizon_months=self.horizon,
            rank=int(self.rank[place]),
            of=len(self),
            probability=float(self.probability[place]),
            low=float(self.low[place]),
            high=float(self.high[place]),
            grade=str(self.grade[place]),
            risk_kinds=kinds,
            raising=tuple(reason for reason in reasons if reason.raises),
            lowering=tuple(reason for reason in reasons if not reason.raises),
            notes_zh=one.notes("zh")[0],
            notes_en=one.notes("en")[0],
            checks_zh=book.to_check(kinds, labour, "zh"),
            checks_en=book.to_check(kinds, labour, "en"),
            model_version=self.model_version,
            notes_beside_reasons=(
                one.notes("zh", beside_reasons=True)[0],
                one.notes("en", beside_reasons=True)[0],
            ),
        )

    def has_labour(self, place: int) -> bool | None:
        """Whether anybody in the household can work; None: not known."""
        for name in LABOUR_FEATURES:
            if name in self.matrix.names:
                value = self.matrix.values[place, self.matrix.names.index(name)]
                return None if np.isnan(value) else bool(value > 0)
        return None

    def contributions(self, household_id: str | None = None) -> tuple[Floats, float]:
        """Contributions to the margin and base: shape (n, p) in the matrix's order, or (p,) for one
        household."""
        if household_id is None:
            return self.table.contributions, self.base
        return self.table.contributions[self.place(household_id)], self.base

    def waterfall(self, household_id: str, language: wording.Language = "zh") -> Figure:
        """shap's waterfall of one household, with the catalogue's labels, for analysts."""
        from riskmodel.screening.plots import waterfall

        return waterfall(self.table, self.base, self.place(household_id), language)


def ages_of(matrix: FeatureMatrix, wordbook: Wordbook) -> dict[str, Floats]:
    """Days since each household's own newest row, for sources that should have one; unknown where nobody is
    there to report about."""
    ages = {}
    for name, source in wordbook.sources.items():
        column = f"{name}_age_days"
        if source.each_household and column in matrix.names:
            ages[name] = matrix.column(column)
            for able in LABOUR_FEATURES:
                if name == "employment" and able in matrix.names:
                    ages[name] = np.where(matrix.column(able) > 0, ages[name], np.nan)
    return ages


def _refuse_changed_catalogue(project: Project, model: Model, catalogue: Catalogue) -> None:
    """Raises ModelError when features of the model mean something else in the catalogue than when it was
    trained.

    A model that was stored before meanings were kept is compared by the hash of the whole catalogue.
    """
    trained = model.record.get("feature_meanings")
    if trained:
        now = catalogue.meanings(trained)
        changed = [name for name, meaning in trained.items() if now[name] != meaning]
    elif stored := model.record.get("catalogue_hash"):
        other_columns = model.record.get("source") == "table" or not set(model.feature_names) & set(
            catalogue.names
        )
        same = other_columns or project.hash(*catalogue_files(project)) == stored
        changed = [] if same else list(model.feature_names)
    else:
        return
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise ModelError(
            Fault(
                f"model {model.version}, {CATALOGUE_FILE}",
                f"changed since the model was trained: {', '.join(changed[:5])}{more}",
                (
                    "features of the same family, unit, sources, window and sign, and own functions of the "
                    "same text"
                ),
                (
                    "Train and promote a run with the catalogue as it is, or restore the catalogue of the "
                    "model's run."
                ),
            )
        )


# The first of these that the catalogue has decides whether a household has labour.
LABOUR_FEATURES: Final = ("able_members",)


@dataclass(frozen=True)
class ScreeningModel:
    """A model with everything that turns its margin into words. Make it with `load`."""

    model: Model
    explainer: Explainer | None
    catalogue: Catalogue
    policy: Policy
    wordbook: Wordbook
    settings: ScreeningSettings
    project: Project
    catalogue_hash: str
    policy_hash: str
    reference: Reference | None = None
    profile: Mapping[str, Mapping[str, Any]] | None = None

    @classmethod
    def load(cls, project: Project, which: str = "champion") -> ScreeningModel:
        """The champion or the model of a run. Raises ModelError when there is none, it is damaged or it
        cannot be explained; ProjectError for a faulty project."""
        from riskmodel.training import load_model_folder

        return cls.of(project, Model.load(load_model_folder(project, which)))

    @classmethod
    def of(
        cls,
        project: Project,
        model: Model,
        *,
        explainer: Explainer | None = None,
        reference: Reference | None = None,
    ) -> ScreeningModel:
        """Around a model that is already there (a release, a test). `reference`: what single households are
        compared with."""
        if not model.explained:
            raise ModelError(
                Fault(
                    f"model {model.version} ({model.learner})",
                    "a learner whose scores cannot be explained here",
                    "LightGBM, hazard, logistic or a rule",
                    "Choose a run of such a plan; this one serves as a comparison.",
                )
            )
        catalogue = load_catalogue(project)
        _refuse_changed_catalogue(project, model, catalogue)
        own = {
            name: plain_entry(name, sign)
            for name, sign in zip(model.feature_names, model.signs, strict=True)
            if name not in catalogue
        }
        if (
            own and model.record.get("source") == "table"
        ):  # an analyst's own table: its columns are its catalogue
            catalogue = Catalogue.model_construct(root={**catalogue.root, **own})
        if explainer is None and model.booster_texts:
            explainer = Explainer.from_booster_texts(model.booster_texts)
        profile = model.record.get("profile")
        return cls(
            model=model,
            explainer=explainer,
            catalogue=catalogue,
            policy=Policy.load(project),
            wordbook=Wordbook.load(project, catalogue),
            settings=load_settings(project),
            project=project,
            catalogue_hash=project.hash(*catalogue_files(project), "features/codelists"),
            policy_hash=project.hash("features/policy"),
            reference=reference,
            profile=profile if isinstance(profile, Mapping) else None,
        )

    @cached_property
    def version(self) -> str:
        """The model's version; worked out once, since it hashes all trees."""
        return self.model.version

    def policy_hash_with(self, tables: Tables) -> str:
        """Hash of the project's dated values, and of those that the county brings along in its table
        `policy`."""
        if "policy" not in tables or not tables["policy"].height:
            return self.policy_hash
        rows = json.dumps(sorted(map(str, tables["policy"].rows())), ensure_ascii=False)
        return hashlib.sha256((self.policy_hash + rows).encode()).hexdigest()

    def features(
        self, tables: Tables, as_of: dt.date, households: Sequence[str] | None = None
    ) -> FeatureMatrix:
        """All features of the cohort (or of these households) on the day."""
        from riskmodel.features import build

        if households is None:
            households = cohort(tables, as_of)["household_id"].to_list()
        return build(
            tables,
            as_of,
            catalogue=self.catalogue,
            policy=Policy.load(self.project, tables),
            households=households,
        )

    def score(
        self,
        tables: Tables,
        as_of: dt.date | str,
        horizon: int = 12,
        *,
        reference: Reference | None = None,
        accept_missing: Collection[str] = (),
    ) -> Scores:
        """Score and explain the cohort of a day, given as a date or as `YYYY-MM-DD`.

        reference: what values are compared with; without it, the cohort itself (townships and counties of at
        least 30 households). Raises GateError with every fault of the features, ModelError for a horizon that
        the model does not offer.
        """
        as_of = day(as_of)
        households = cohort(tables, as_of)["household_id"].to_list()
        if not households:
            raise DataError(
                Fault(
                    f"cohort as of {as_of}",
                    "nobody",
                    "households in force, with members, not monitored",
                    "Check the date and the tables.",
                )
            )
        return self.score_matrix(
            self.features(tables, as_of, households),
            horizon,
            reference=reference,
            dates=data_dates(tables, as_of),
            accept_missing=accept_missing,
            policy_hash=self.policy_hash_with(tables),
        )

    def score_matrix(
        self,
        matrix: FeatureMatrix,
        horizon: int = 12,
        *,
        reference: Reference | None = None,
        dates: Mapping[str, dt.date] | None = None,
        accept_missing: Collection[str] = (),
        policy_hash: str | None = None,
    ) -> Scores:
        """The same from features that are already there. dates: table -> newest `known_on`; policy_hash: see
        `policy_hash_with`."""
        scored = self.score_rows(
            matrix,
            horizon,
            accept_missing=accept_missing,
            reference=lambda given: reference or self.reference or Reference.of(given, dates),
        )
        order = in_order(scored.margin, matrix.household_id, self.settings.key)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        flags = {name: matrix.column(name) for name in matrix.names if name.startswith(RULE)}
        return Scores(
            as_of=matrix.as_of,
            horizon=horizon,
            model_version=self.version,
            catalogue_hash=self.catalogue_hash,
            policy_hash=policy_hash or self.policy_hash,
            matrix=matrix,
            values=scored.values,
            table=scored.table,
            base=scored.base,
            reference=scored.reference,
            order=order,
            margin=scored.margin,
            probability=scored.probability,
            low=scored.low,
            high=scored.high,
            rank=rank,
            grade=self.grades(rank, scored.probability, flags),
            note=self.explainer.note if self.explainer else "",
        )

    def score_rows(
        self,
        matrix: FeatureMatrix,
        horizon: int,
        *,
        margins: Callable[[Floats], Floats] | None = None,
        reference: Callable[[FeatureMatrix], Reference] | None = None,
        accept_missing: Collection[str] = (),
        picked: bool = False,
    ) -> ScoredRows:
        """The score pipeline, the same for a cohort and for a request: value gate, margins, probabilities,
        contributions, reasons.

        margins: values (n, p) -> margin of each member (n, members); None: as the model computes them.
        reference: the distributions values are compared with, from the matrix of the model's features; None:
        this model's own. picked: the households were chosen by somebody and are no cohort. Raises GateError
        with every fault of the features, ModelError for a horizon that the model does not offer.
        """
        model = self.model
        asked = self._asked(matrix)
        values = pass_value_gate(
            asked,
            model.feature_names,
            self.catalogue,
            profile=self.profile,
            accept_missing=accept_missing,
            picked=picked,
        )
        of_members = (margins or model.margins)(values)
        margin = mean_of_members(of_members)
        low, high, probability = model.probability(np.stack([*band_of_members(of_members), margin]), horizon)
        contributions, base = self.contributions(values)
        compared = self.reference if reference is None else reference(replace(asked, values=values))
        assert compared is not None
        table = give_reasons(
            self.wordbook,
            model.feature_names,
            values,
            contributions,
            matrix.village_code,
            compared,
            as_of=matrix.as_of,
            ages=ages_of(matrix, self.wordbook),
        )
        return ScoredRows(
            values=values,
            margin=margin,
            probability=probability,
            low=np.minimum(low, probability),
            high=np.maximum(high, probability),
            table=table,
            base=base,
            reference=compared,
        )

    def _asked(self, matrix: FeatureMatrix) -> FeatureMatrix:
        """The model's features of a matrix, in the model's order; the matrix itself where some are not there,
        for the gate to name them."""
        names = self.model.feature_names
        if matrix.names is self._catalogue_names or matrix.names == self._catalogue_names:
            places = self._places_in_catalogue
        elif set(names) <= set(matrix.names):
            places = np.array([matrix.names.index(name) for name in names], np.intp)
        else:
            return matrix
        values = np.ascontiguousarray(matrix.values[:, places])
        return FeatureMatrix(
            as_of=matrix.as_of,
            household_id=matrix.household_id,
            village_code=matrix.village_code,
            names=names,
            values=values,
        )

    @cached_property
    def _catalogue_names(self) -> tuple[str, ...]:
        return tuple(self.catalogue.root)

    @cached_property
    def _places_in_catalogue(self) -> npt.NDArray[np.intp]:
        """Position of each of the model's features among the catalogue's. Raises ValueError where it has
        other features."""
        return np.array([self._catalogue_names.index(name) for name in self.model.feature_names], np.intp)

    def contributions(self, values: Floats) -> tuple[Floats, float]:
        """Contributions of each feature to the mean margin, shape (n, p), and the base. Raises ModelError
        where a learner has none."""
        if self.explainer is not None:
            return self.explainer.contributions(values)
        return self.model.contributions(values)

    def grades(
        self, rank: npt.NDArray[np.int64], probability: Floats, flags: Mapping[str, Floats]
    ) -> npt.NDArray[np.object_]:
        """Grades by what scores know: rules met, the county's capacity and the probability. Open leads are
        added with the tables' (`workflow.score`)."""
        grading = Grading(self.settings.grades, self.settings.capacity, len(rank))
        rules = self.settings.leads.rules
        failing = flags.get(GUARANTEE_RULE, np.zeros(len(rank))) == 1
        met = np.zeros(len(rank), dtype=bool)
        for name, column in flags.items():
            if name != GUARANTEE_RULE and (rules == "all" or name in rules):
                met |= column == 1
        kinds = ((), ("guarantee",), ("rule",), ("guarantee", "rule"))
        rows = zip((failing + 2 * met).tolist(), rank.tolist(), probability.tolist(), strict=True)
        grades = [grading.grade((), kinds[state], place, chance) for state, place, chance in rows]
        return np.array(grades, dtype=object)
