"""`serving/screening.yaml`: capacity, leads, random checks, quotas, grades. Read once, checked with file and
line."""

from __future__ import annotations

import datetime as dt
import ipaddress
import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from riskmodel import calendar
from riskmodel.declared import Strict
from riskmodel.project import Project

SETTINGS_FILE = "serving/screening.yaml"

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Channel = Literal["self_declared", "petition", "cadre", "department", "media"]
LeadKind = Literal["guarantee", "self_declared", "petition", "cadre", "department", "media", "rule"]
Visits = Annotated[int, Field(ge=0)]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("an address or a network, such as 127.0.0.1 or 10.1.0.0/16") from None


Network = Annotated[str, AfterValidator(_network)]


class Settings(Strict):
    """A section of the settings. YAML reads an area code such as 522301001 as a number: it becomes text
    again."""

    model_config = ConfigDict(coerce_numbers_to_str=True)


class Leads(Settings):
    """Which hints are seen whatever the score, and how long they stay open without a visit."""

    channels: tuple[Channel, ...] = ("self_declared", "petition", "cadre", "department", "media")
    look_back_days: Annotated[int, Field(ge=1)] = 365
    guarantees: bool = True
    guarantee_quiet_days: Annotated[int, Field(ge=0)] = 90
    rules: Literal["all"] | tuple[str, ...] = "all"
    rule_quiet_days: Annotated[int, Field(ge=0)] = 365
    rule_share: Share = 0.25


class RecentVisits(Settings):
    """How long a household is left in peace after a visit, unless something new is known."""

    days: Annotated[int, Field(ge=0)] = 90
    sweep_days: Annotated[int, Field(ge=0)] = 30


class CarryOver(Settings):
    """How often, and how far down the order, a visit that was not made is carried over."""

    cycles: Annotated[int, Field(ge=0, le=24)] = 2
    share: Share = 0.5
    within: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0


class Layer(Settings):
    """A score layer of the households that are not listed: its share of them, and the weight of its chance to
    be drawn."""

    share: Share
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RandomChecks(Settings):
    """The part of the capacity that is drawn by chance."""

    share: Share = 0.10
    seed: int = 20260101
    layers: tuple[Layer, ...] = (
        Layer(share=0.1, weight=3),
        Layer(share=0.3, weight=2),
        Layer(share=0.6, weight=1),
    )

    @model_validator(mode="after")
    def _possible(self) -> RandomChecks:
        if self.share and not 0.10 <= self.share <= 0.20:
            raise ValueError("share is 0, or 0.10 to 0.20 of the capacity")
        if not self.layers or abs(sum(layer.share for layer in self.layers) - 1) > 1e-9:
            raise ValueError("the shares of the layers add up to 1")
        return self


class Quotas(Settings):
    """How visits are shared out between townships or teams."""

    by: Literal["township", "team"] = "township"
    rule: Literal["county", "proportional", "fixed", "floor"] = "county"
    floor: Visits = 0
    fixed: dict[str, Visits] = {}
    teams: dict[str, str] = {}

    @model_validator(mode="after")
    def _complete(self) -> Quotas:
        if self.rule == "fixed" and not self.fixed:
            raise ValueError("rule `fixed` needs `fixed`: area or team, and its visits")
        if self.by == "team" and not self.teams:
            raise ValueError("quotas by team need `teams`: township code, and the name of its team")
        return self


class Cut(Settings):
    """A grade begins within this share of the capacity in the model's order, or from this probability."""

    capacity_share: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    probability: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Grades(Settings):
    """From rules and capacity to red, orange, yellow."""

    leads: dict[LeadKind, Literal["red", "orange", "yellow", "none"]] = {
        "guarantee": "red",
        "self_declared": "orange",
        "petition": "orange",
        "cadre": "orange",
        "department": "yellow",
        "media": "yellow",
        "rule": "none",
    }
    orange: Cut = Cut(capacity_share=0.2, probability=0.2)
    yellow: Cut = Cut(capacity_share=0.6, probability=0.1)

    @model_validator(mode="after")
    def _ordered(self) -> Grades:
        if (
            self.orange.capacity_share > self.yellow.capacity_share
            or self.orange.probability < self.yellow.probability
        ):
            raise ValueError(
                "orange is rarer than yellow: a smaller share of the capacity and a higher probability"
            )
        return self


class WorkbookSettings(Settings):
    language: Literal["zh", "en"] = "zh"


class Label(Settings):
    zh: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]


class Exits(Settings):
    """When a monitored household is proposed for a review by people.

    low_scorings: so many scorings in a row, one a month, the last as of the day of the review, must be below
    `probability` (0 to 1). months_since_identified: months that it must have been monitored at least.
    months_above_line: at every date scored within so many months, income after compliant medical cost must
    be above the monitoring line. The other conditions, such as guarantees and labour, have no settings.
    """

    low_scorings: Annotated[int, Field(ge=1)] = 3
    probability: Share = 0.02
    months_since_identified: Annotated[int, Field(ge=1)] = 6
    months_above_line: Annotated[int, Field(ge=1)] = 12


class Service(Settings):
    """Bounds of the running service; docs/operations.md has what a wrong value of each does.

    proxies: addresses or networks of the reverse proxies whose X-Forwarded-For is believed.
    """

    valid_days: Annotated[int, Field(ge=1, le=731)] = 92
    at_once: Annotated[int, Field(ge=1, le=1000)] = 64
    client_at_once: Annotated[int, Field(ge=1, le=1000)] = 32
    client_bodies: Annotated[int, Field(ge=1, le=1000)] = 16
    key_requests_a_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 12_000
    proxies: tuple[Network, ...] = ()
    body_megabytes: Annotated[int, Field(ge=1, le=256)] = 32
    bodies_megabytes: Annotated[int, Field(ge=1, le=1024)] = 64
    large_at_once: Annotated[int, Field(ge=1, le=64)] = 4
    header_seconds: Annotated[float, Field(ge=1, le=600)] = 10
    body_seconds: Annotated[float, Field(ge=1, le=600)] = 20
    answer_seconds: Annotated[float, Field(ge=1, le=600)] = 30
    watch_seconds: Annotated[float, Field(ge=0.05, le=3600)] = 5
    trial_seconds: Annotated[float, Field(ge=5, le=3600)] = 120

    @model_validator(mode="after")
    def _possible(self) -> Service:
        if self.bodies_megabytes < self.body_megabytes:
            raise ValueError(
                "bodies_megabytes holds at least one body: it is not smaller than body_megabytes"
            )
        return self


class ScreeningSettings(Settings):
    """All of `serving/screening.yaml`; the defaults are those of a new project."""

    cycle: Literal["week", "month", "quarter"] = "month"
    capacity: Annotated[int, Field(ge=1)] = 600
    key: Annotated[str, Field(min_length=1)] = "county-list-1"
    leads: Leads = Leads()
    recent_visits: RecentVisits = RecentVisits()
    carry_over: CarryOver = CarryOver()
    random_checks: RandomChecks = RandomChecks()
    quotas: Quotas = Quotas()
    grades: Grades = Grades()
    route: dict[str, tuple[str, ...]] = {}
    teams: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = ()
    workbook: WorkbookSettings = WorkbookSettings()
    disagreements: dict[str, Label] = {
        "other": Label(zh="其他（请在备注说明）", en="other (say so in the note)")
    }
    exits: Exits = Exits()
    service: Service = Service()
    timezone: Annotated[str, Field(min_length=1)] = calendar.COUNTY_ZONE

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no time zone of that name, such as Asia/Shanghai or Asia/Urumqi") from None
        return name


def today(settings: ScreeningSettings) -> dt.date:
    """The county's day, whatever the clock of the machine: a visit of the same morning is not in the future
    on a host in UTC."""
    return calendar.today(settings.timezone)


def load_settings(project: Project) -> ScreeningSettings:
    """The project's settings. Raises ProjectError: every fault at once, with file and line."""
    return project.load(SETTINGS_FILE, ScreeningSettings)
