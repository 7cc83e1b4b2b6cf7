"""What the API takes and answers beside scores, as models: the OpenAPI description is made from them. Strict,
nothing extra, no NaN.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from riskmodel.errors import Fault
from riskmodel.serving.messages import Message
from riskmodel.tables.identity import telling_text
from riskmodel.vocabulary import GRADES, RISK_KINDS, SIGNAL_EN, SIGNAL_ZH

# Digits are written out: \d would take those of every script.
CYCLE: Final = "^[0-9]{4}-(W[0-9]{2}|[0-9]{2}|Q[1-4])$"
Cycle = Annotated[str, Field(pattern=CYCLE, examples=["2026-01"])]
AreaCode = Annotated[
    str, Field(pattern="^[0-9]{2}([0-9]{2}([0-9]{2}([0-9]{3}([0-9]{3})?)?)?)?$", examples=["522301001"])
]
# what a pseudonym may be made of: printable ASCII without the slash, and Han characters
ID: Final = "^[!-.0-~一-鿿]{1,200}$"
# Text that a database can hold and a person can read: no control characters but tab and line ends.
TEXT: Final = "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]*$"
JOB_ID: Final = "^[0-9a-f]{32}$"
HouseholdId = Annotated[str, Field(pattern=ID, examples=["h000042"])]
GradeCode = Literal["red", "orange", "yellow", "none"]
RiskKind = Literal[
    "illness",
    "disability",
    "education",
    "disaster",
    "accident",
    "industry",
    "employment",
    "labour",
    "housing",
    "water",
    "other",
]
Outcome = Literal["risk_confirmed", "no_risk", "risk_eliminated", "unreachable"]
Status = Literal["open", "visited", "unreachable"]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
assert set(GRADES) == set(GradeCode.__args__) and set(RISK_KINDS) == set(RiskKind.__args__)  # type: ignore[attr-defined]


def _date(value: object) -> object:
    return dt.date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else value


Day = Annotated[dt.date, BeforeValidator(_date)]


class FaultShape(Message):
    """One thing that is wrong, in four answers."""

    where: str
    found: str
    expected: str
    remedy: str


class Problem(Message):
    """RFC 9457 problem details: one shape for every refusal, the first 50 faults at once and how many there
    are.

    type: an address of this service that explains the code. code: stable, a program may branch on it.
    """

    type: Annotated[str, Field(pattern="^/problems/[a-z-]+$")]
    code: Annotated[str, Field(pattern="^[a-z-]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    request_id: str
    faults: Annotated[list[FaultShape], Field(max_length=50)]
    faults_in_all: Count


class ProblemCard(Message):
    """What a code of a refusal means, and what a caller does about it."""

    code: str
    status: Annotated[int, Field(ge=400, le=599)]
    title: str
    title_zh: str
    remedy: str
    remedy_zh: str


class SignIn(Message):
    """A key, as `riskmodel keys add` showed it."""

    key: Annotated[str, Field(min_length=1, max_length=200, examples=["rm_0123456789ab_" + "0" * 64])]


class Session(Message):
    """Who is signed in. csrf: to be sent as X-CSRF-Token with every POST and DELETE of the session; empty
    where a key came with the request.
    """

    role: Literal["analyst", "screener", "case_system", "auditor", "operator"]
    areas: list[AreaCode]
    purpose: str
    name: str
    csrf: str
    expires_at: str
    timezone: Annotated[str, Field(description="whose day is today: a visit may be dated up to it")]


class JobAnswer(Message):
    """A scoring job. scored: so many of its households so far.

    state: waiting, running, done (the result is there), failed (`faults` has the first 50 of
    `faults_in_all`), or interrupted (the service stopped: send it again). expires_at: when it is removed with
    its result.
    """

    job_id: Annotated[str, Field(pattern=JOB_ID)]
    state: Literal["waiting", "running", "done", "failed", "interrupted"]
    scored: Count
    households: Count
    as_of: Day
    horizon_months: int
    model_version: str
    created_at: str
    expires_at: str
    idempotency_key: str | None
    faults: Annotated[list[FaultShape], Field(max_length=50)]
    faults_in_all: Count


class Carried(Message):
    """What every answer with a score or a list carries."""

    model_version: str
    as_of: dt.date
    data_dates: dict[str, dt.date]
    valid_until: dt.date
    signal_not_determination: Literal[True]
    signal_zh: Literal["核实优先级信号，非认定结论"] = SIGNAL_ZH
    signal_en: str = SIGNAL_EN


class Bilingual(Message):
    zh: str
    en: str


class Coded(Bilingual):
    code: str


class AreaCount(Message):
    code: AreaCode
    count: Count


class CodedCount(Coded):
    count: Count


class ListSummary(Carried):
    cycle: Cycle
    county_code: AreaCode
    issued_at: str
    capacity: Count
    listed: Count
    standby: Count
    visited: Count
    contradictory: Annotated[Count, Field(description="households whose teams found different things")]
    open: Count
    closed: bool


class Lists(Message):
    lists: list[ListSummary]


class ListFilters(Message):
    townships: list[AreaCount]
    villages: list[AreaCount]
    grades: list[CodedCount]
    risk_kinds: list[CodedCount]
    statuses: list[CodedCount]


class ListRow(Message):
    """One household. number, list_hash: null where it is not on the list. rank: place in the model's order,
    only where everybody is paged.
    """

    number: Count | None
    household_id: HouseholdId
    list_hash: str | None
    on_list: bool
    township_code: AreaCode | None
    village_code: AreaCode | None
    grade: GradeCode
    grade_zh: str
    grade_en: str
    why_zh: str
    why_en: str
    probability: Share | None
    low: Share | None
    high: Share | None
    rank: Count | None
    first_reason_zh: str
    first_reason_en: str
    risk_kinds: list[RiskKind]
    listed_as: Literal["lead", "screening"] | None
    last_visit: dt.date | None
    visit_zh: Annotated[str, Field(description="the newest visit that counts on the list; empty: none")]
    visit_en: str
    contradicted: Annotated[bool, Field(description="its teams found different things")]
    team: str | None
    status: Status
    standby: bool


class ListPage(Carried):
    cycle: Cycle
    county_code: AreaCode
    closed: bool
    total: Count
    next_cursor: str | None
    filters: ListFilters
    disagreements: list[Coded]
    risk_kind_codes: list[Coded]
    outcomes: list[Coded]
    notes: list[Bilingual]
    rows: list[ListRow]


class SignOnQuery(Message):
    """What the provider of single sign-on sends back with the browser; it may send more."""

    model_config = ConfigDict(extra="ignore")

    state: Annotated[str, Field(max_length=200)]
    code: Annotated[str, Field(max_length=3000)] | None = None
    error: Annotated[str, Field(max_length=200)] | None = None


class ListQuery(Message):
    """How a list is narrowed and paged."""

    county: AreaCode | None = None
    township: AreaCode | None = None
    village: AreaCode | None = None
    grade: GradeCode | None = None
    risk_kind: RiskKind | None = None
    status: Status | None = None
    listed_as: Literal["lead", "screening", "standby"] | None = None
    q: Annotated[str, Field(pattern=ID)] | None = Field(None, description="beginning of a household id")
    everybody: bool = Field(
        False, description="page through everybody who was scored, by rank, not only through the list"
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(pattern="^[0-9]{1,9}$")] | None = None


class DownloadQuery(Message):
    format: Literal["xlsx", "csv"]
    county: AreaCode | None = None
    township: AreaCode | None = None


class CountyQuery(Message):
    county: AreaCode | None = None


class JobResultQuery(Message):
    """after: so many lines have come already; a download that was cut goes on behind them."""

    after: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class NoQuery(Message):
    """No query."""


class HouseholdQuery(Message):
    as_of: Day | None = None


class HouseholdReason(Message):
    """effect: share of the largest effect among the reasons of this score, -1 to 1, for bars only."""

    zh: str
    en: str
    risk_kind: RiskKind
    risk_kind_zh: str
    risk_kind_en: str
    raises: bool
    effect: Annotated[float, Field(ge=-1, le=1)]


class MetRule(Bilingual):
    name: str


class Changes(Bilingual):
    """What moved the score since the scoring before. zh, en: all of it in one sentence, which is `way` and
    `parts` joined.

    way: how it moved; empty where the two scorings cannot be compared. parts: what moved it, one or more;
    empty where it hardly moved or cannot be compared.
    """

    since: dt.date
    moved: Literal["up", "down", "same", "unknown"]
    way_zh: str
    way_en: str
    parts: list[Bilingual]


class Freshness(Bilingual):
    table: str
    newest: dt.date | None
    age_days: Count | None
    stale: bool


class PastScore(Message):
    as_of: dt.date
    probability: Share
    low: Share | None
    high: Share | None
    rank: Count | None
    model_version: str


class PastVisit(Bilingual):
    """A result in force, in words and by its parts. list_hash, team: what withdraws it. note: null for who
    may not read it.
    """

    visited_on: dt.date
    cycle: Cycle
    list_hash: str
    team: str
    recorded_on: dt.date
    contradicted: bool
    disagreement: str | None
    note: str | None
    origin: str
    outcome: Outcome
    outcome_zh: str
    outcome_en: str
    risk_kinds: list[RiskKind]


class OnList(Message):
    """The newest list with the household, and the data of its visit form."""

    cycle: Cycle
    county_code: AreaCode
    list_hash: str
    number: Count
    as_of: dt.date
    status: Status
    visit_zh: str
    visit_en: str
    contradicted: bool
    standby: bool
    closed: bool
    why_zh: str
    why_en: str
    outcomes: list[Coded]
    risk_kind_codes: list[Coded]
    disagreements: list[Coded]


class WhyNotListed(Bilingual):
    """Why a household is not on the newest list of its county. since: first day of monitoring, or day of the
    last visit; until: it is left in peace before this day, unless something new is known.
    """

    cycle: Cycle
    as_of: dt.date
    code: Literal["gone", "monitored", "recent", "fallen", "waiting", "not_scored"]
    since: dt.date | None
    until: dt.date | None


class HouseholdAnswer(Carried):
    """A household. One that was not scored (monitored, moved away) has no probability, rank and grade;
    `not_listed` has the reason.
    """

    household_id: HouseholdId
    county_code: AreaCode
    township_code: AreaCode
    village_code: AreaCode
    horizon_months: int | None
    probability: Share | None
    low: Share | None
    high: Share | None
    rank: Count | None
    of: Count | None
    grade: Coded | None
    risk_kinds: list[RiskKind]
    reasons: list[HouseholdReason]
    notes_zh: str
    notes_en: str
    checks_zh: str
    checks_en: str
    rules: list[MetRule]
    changes: Changes | None
    freshness: list[Freshness]
    history: list[PastScore]
    visits: list[PastVisit]
    last_visit: dt.date | None
    on_list: OnList | None
    not_listed: WhyNotListed | None


class VisitResult(Message):
    """What one visit found."""

    household_id: HouseholdId
    visited_on: Day
    outcome: Outcome
    risk_kinds: Annotated[list[RiskKind], Field(max_length=3, default_factory=list)]
    disagreement: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")] | None = Field(
        None, description="a code of serving/screening.yaml (disagreements)"
    )
    visitor: Annotated[str, Field(max_length=40, pattern=TEXT)] = Field(
        "", description="code of the team, no name"
    )
    note: Annotated[str, Field(max_length=500, pattern=TEXT)] = Field(
        "", description="no names, no numbers of persons: such a row is refused"
    )


class Verifications(Message):
    """Results of visits to households of one list."""

    cycle: Cycle | None = None
    list_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    results: Annotated[list[VisitResult], Field(min_length=1, max_length=500)]
    idempotency_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$", examples=["9b2c7d4e-visit-17"])]


class RefusedResult(Message):
    """row: place in `results`, from 0. household_id: null where no such household is on the list, so that
    nothing is repeated.
    """

    row: Count
    household_id: str | None
    reasons: list[Bilingual]


class ConflictingResults(Message):
    """visits: the results in force that contradict each other, with day and team, in words."""

    household_id: str
    visits: list[Bilingual]


class Taken(Message):
    """accepted: new results, corrections among them; unchanged: known already. All of them are on disk."""

    accepted: Count
    corrected: Count
    unchanged: Count
    refused: list[RefusedResult]
    conflicts: list[ConflictingResults]


class Withdrawal(Message):
    """Which result is taken back, and why: the one in force of this household and team in the cycle of the
    list.
    """

    list_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    household_id: HouseholdId
    visitor: Annotated[str, Field(max_length=40, pattern=TEXT)]
    reason: Annotated[
        str, Field(min_length=1, max_length=500, pattern=TEXT, examples=["recorded on the wrong household"])
    ]


class Withdrawn(Message):
    """conflicts: what of the household's results still contradicts each other."""

    household_id: HouseholdId
    conflicts: list[ConflictingResults]


class VillageCounts(Message):
    """null: from 1 to 4 (or what would give such a number away), not shown; `hidden` is then true."""

    code: AreaCode
    households: Count | None
    listed: Count
    visited: Count
    confirmed: Count | None
    red: Count
    orange: Count
    yellow: Count
    hidden: bool


class TownshipCounts(VillageCounts):
    villages: list[VillageCounts]


class Areas(Carried):
    cycle: Cycle
    county_code: AreaCode
    hidden_below: int
    townships: list[TownshipCounts]


class Metric(Bilingual):
    name: str
    value: float
    low: float | None
    high: float | None
    text_zh: str
    text_en: str


class GroupFinding(Bilingual):
    group: str
    recall: float | None
    low: float | None
    high: float | None
    verdict: str


class Waiver(Message):
    check: str
    by: str
    reason: str


class NotTaken(Message):
    """release: the name in `release/current` ("": it names none). why: what was found, a line each."""

    release: str
    why: list[str]


class ModelCard(Carried):
    """settings_hash: SHA-256 of the settings in force (serving/screening.yaml).

    not_taken: the release that should be in force and did not pass its checks; null, as a rule: the one that
    is meant is in force.
    """

    learner: str
    title: Bilingual
    trained_until: str
    horizon_months: list[int]
    metrics: list[Metric]
    groups: list[GroupFinding]
    waivers: list[Waiver]
    limits_zh: list[str]
    limits_en: list[str]
    statement: str
    settings_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    not_taken: NotTaken | None


class AuditQuery(Message):
    since: Annotated[int, Field(ge=0, le=999_999_999)] = Field(0, description="number of the first entry")
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    actor: Annotated[str, Field(pattern=r"^[0-9a-f]{1,16}$")] | None = Field(None, description="id of a key")
    action: Annotated[str, Field(pattern=r"^[a-z -]{1,64}$")] | None = None


class AuditEntry(Message):
    number: Count
    at: str
    actor: str
    role: str
    purpose: str
    action: str
    subject: str
    model_version: str
    details: str
    previous: str
    hash: str


class AuditHead(Message):
    number: Count
    hash: str


class AuditPage(Message):
    """head: the newest entry of all, to be written down outside this machine."""

    entries: list[AuditEntry]
    next_since: int | None
    head: AuditHead


def faults_of(error: ValidationError) -> list[Fault]:
    """Every fault with the path of its field.

    Nothing that was sent is repeated: unknown keys are named only where they hold nobody's number. How many
    there can be is bounded before (`structure`).
    """
    faults = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        parts = [str(part) for part in item["loc"]]
        where = ".".join("…" if telling_text(part) or len(part) > 64 else part for part in parts)
        faults.append(
            Fault(
                where or "body",
                item["type"],
                item["msg"],
                "The shape is in /openapi.json and docs/api.md.",
            )
        )
    return faults
