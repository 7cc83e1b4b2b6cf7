"""Policy values by place and date: what the monitoring line of a county was on a day, and where that figure
comes from.

`features/policy/*.yaml` hold every figure with legal meaning, each with unit, source and the day from which
it is valid. The narrower area goes over the wider one (village, township, county, prefecture, province,
national); a `policy` table that a county brings along goes over all files. An area whose own first value
begins later falls back on the wider area. A value that ended (`value: null`, or a day after `until`) does not
fall back: then it is unknown what is in force, and PolicyError names what to add.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import ConfigDict, Field, RootModel, field_validator

from riskmodel.declared import Strict, Words
from riskmodel.errors import Fault, PolicyError, ProjectError
from riskmodel.project import Project, fit

if TYPE_CHECKING:
    from riskmodel.tables import Tables

POLICY_FOLDER: Final = "features/policy"
NATIONAL: Final = "national"

# Every number the feature functions may ask for, by its name in the files: what `policy.<name>` holds in a
# feature function.
NUMBERS: Final = (
    "monitoring_line",
    "dibao_standard",
    "disposable_income",
    "rigid_share_cutoff",
    "medical_self_paid_share_lifted",
    "medical_self_paid_share_general",
    "medical_burden_low_income",
    "medical_burden_general",
    "inpatient_self_paid_lifted",
    "inpatient_self_paid_general",
    "chronic_monthly_self_paid",
    "tuition_school_year",
    "severe_disability_level",
    "no_job_months",
    "wage_falling_periods",
    "transfer_share",
)
# Beside them, days that a feature function may ask for, as days since 1970-01-01: the accounting window from
# its first day up to the day before its end; the first day of the school year of the as-of date, and of the
# one before.
DAYS: Final = ("accounting_start", "accounting_end", "school_year_before", "school_year_start")
# Values that are words: the permitted ones.
ACCOUNTING_WINDOWS: Final = ("previous_12_months", "october_to_september")
WORDS: Final = ("accounting_window", "school_year_begins")
_WIDTHS: Final = (12, 9, 6, 4, 2)  # digits of village, township, county, prefecture, province


class DatedValue(Strict):
    """One value: valid from the day that is its key to `until` (included), or until the next value. `value:
    null`: ended. `verified: false`: not yet compared with the publication; it is used, and marked as
    unverified wherever it is shown.
    """

    value: float | str | None
    source: Annotated[str, Field(min_length=1)]
    until: dt.date | None = None
    verified: bool = True


class Series(Strict):
    """All values of one name: area (`national`, or the first digits of the area code) -> valid from ->
    value."""

    label: Words
    unit: Annotated[str, Field(min_length=1)]
    values: dict[str, dict[dt.date, DatedValue]]

    @field_validator("values")
    @classmethod
    def _areas(cls, values: dict[str, dict[dt.date, DatedValue]]) -> dict[str, dict[dt.date, DatedValue]]:
        for area in values:
            if area != NATIONAL and not (area.isdigit() and len(area) in _WIDTHS):
                raise ValueError(
                    f"area `{area}` is neither `{NATIONAL}` nor the first 2, 4, 6, 9 or 12 digits of an "
                    "area code"
                )
        return values


class PolicyFile(RootModel[dict[str, Series]]):
    """One YAML file of dated policy values: name of the value -> its series over areas and days."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class _Dated:
    """Values of one name and area, oldest first."""

    days: tuple[dt.date, ...]
    values: tuple[DatedValue, ...]

    def at(self, on: dt.date) -> DatedValue | None:
        found = None
        for day, value in zip(self.days, self.values, strict=True):
            if day <= on:
                found = value
        return found


@dataclass(frozen=True)
class Policy:
    """Dated values. Make it with `Policy.load`.

    `files`: name -> the file it is read from. `hash` covers the files' bytes; values of a data folder's
    `policy` table are in its own hash.
    """

    files: Mapping[str, str]
    series: Mapping[str, Mapping[str, _Dated]] = field(repr=False)
    brought: Mapping[str, Mapping[str, _Dated]] = field(repr=False)
    units: Mapping[str, str] = field(repr=False)
    hash: str = ""
    _known: dict[tuple[str, str, dt.date], DatedValue] = field(
        default_factory=dict, repr=False, compare=False
    )
    _records: dict[tuple[str, dt.date], tuple[float, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def load(cls, project: Project, tables: Tables | None = None) -> Policy:
        """All files of `features/policy/`, and the `policy` table of the data if it is there. Raises
        ProjectError with file:line.
        """
        files: dict[str, str] = {}
        series: dict[str, dict[str, _Dated]] = {}
        units: dict[str, str] = {}
        faults: list[Fault] = []
        for path in sorted((project.root / POLICY_FOLDER).glob("*.yaml")):
            relative = path.relative_to(project.root).as_posix()
            document = project.document(relative)
            try:
                shape = fit(document, PolicyFile)
            except ProjectError as error:
                faults.extend(error.faults)
                continue
            for name, one in shape.root.items():
                if name in files:
                    faults.append(
                        Fault(
                            document.where(name),
                            f"`{name}` is in {files[name]} too",
                            "one file",
                            "Delete one.",
                        )
                    )
                elif name not in NUMBERS and name not in WORDS:
                    expected = f"one of {', '.join((*NUMBERS, *WORDS))}"
                    faults.append(
                        Fault(
                            document.where(name), f"unknown value `{name}`", expected, "Correct its spelling."
                        )
                    )
                faults.extend(_faults_of(name, one, document.where))
                files[name] = relative
                units[name] = one.unit
                series[name] = {area: _dated(values) for area, values in one.values.items()}
        faults += [
            Fault(
                f"{project.root / POLICY_FOLDER}",
                f"no file has `{name}`",
                "a dated value",
                f"Add `{name}` to a file there.",
            )
            for name in (*NUMBERS, *WORDS)
            if name not in files
        ]
        if faults:
            raise ProjectError(faults)
        return cls(
            files=files,
            series=series,
            brought=_from_table(tables),
            units=units,
            hash=project.hash(POLICY_FOLDER),
        )

    def value(self, name: str, area_code: str, on: dt.date) -> float:
        """The number in force for an area (12, 9 or 6 digits) on a day, in the unit of its file.

        Raises PolicyError: before the first value, after an end, or when the value is no number; it names the
        file and what to add.
        """
        found = self.in_force(name, area_code, on).value
        if not isinstance(found, (int, float)):
            raise PolicyError(
                Fault(self.files.get(name, name), f"`{name}` is {found!r}", "a number", "Write a number.")
            )
        return float(found)

    def in_force(self, name: str, area_code: str, on: dt.date) -> DatedValue:
        """The dated value (with its source) in force for an area on a day. Raises PolicyError as `value`
        does.
        """
        key = (name, area_code, on)
        if key not in self._known:
            self._known[key] = self._look_up(name, area_code, on)
        return self._known[key]

    def unverified(self, area_codes: Iterable[str], days: Iterable[dt.date]) -> list[str]:
        """A line for each value in force for these areas on these days that nobody has compared with what was
        published; sorted by file and name.
        """
        found = set()
        for area, day in itertools.product(sorted(set(area_codes)), sorted(set(days))):
            for name in (*NUMBERS, *WORDS):
                try:
                    dated = self.in_force(name, area, day)
                except PolicyError:
                    continue
                if not dated.verified:
                    found.add(
                        f"{self.files[name]} ({name}): {dated.value} ({dated.source}) is not verified. "
                        "Compare it with what was published, or bring your county's own in the policy table."
                    )
        return sorted(found)

    def accounting_window(self, area_code: str, on: dt.date) -> tuple[dt.date, dt.date]:
        """First day of the accounting window in force on a day, and the day after its last.

        `previous_12_months`: twelve whole months up to the end of the month before. `october_to_september`:
        the newest year from 1 October to 30 September that has ended. Raises PolicyError as `value` does.
        """
        form = self.in_force("accounting_window", area_code, on).value
        if form == "previous_12_months":
            return dt.date(on.year - 1, on.month, 1), dt.date(on.year, on.month, 1)
        if form == "october_to_september":
            year = on.year if on.month >= 10 else on.year - 1
            return dt.date(year - 1, 10, 1), dt.date(year, 10, 1)
        where = self.files["accounting_window"]
        raise PolicyError(
            Fault(
                where,
                f"`accounting_window` is {form!r}",
                f"one of {', '.join(ACCOUNTING_WINDOWS)}",
                "Correct the value.",
            )
        )

    def school_years(self, area_code: str, on: dt.date) -> tuple[dt.date, dt.date]:
        """First day of the previous and of the current school year of an area on the day `on`. Raises
        PolicyError as `value` does.
        """
        begins = self.in_force("school_year_begins", area_code, on).value
        month, day = _month_and_day(begins)
        year = on.year if (on.month, on.day) >= (month, day) else on.year - 1
        return dt.date(year - 1, month, day), dt.date(year, month, day)

    def record(self, area_code: str, on: dt.date) -> tuple[float, ...]:
        """All NUMBERS in order, then all DAYS."""
        key = (area_code, on)
        if key not in self._records:
            both = (*self.accounting_window(area_code, on), *self.school_years(area_code, on))
            days = (float((day - dt.date(1970, 1, 1)).days) for day in both)
            self._records[key] = (*(self.value(name, area_code, on) for name in NUMBERS), *days)
        return self._records[key]

    def _look_up(self, name: str, area_code: str, on: dt.date) -> DatedValue:
        areas = [area_code[:width] for width in _WIDTHS if len(area_code) >= width] + [NATIONAL]
        for dated in (self.brought.get(name, {}), self.series.get(name, {})):
            for area in areas:
                found = dated[area].at(on) if area in dated else None
                if found is None:
                    continue
                if found.value is None or (found.until is not None and on > found.until):
                    end = f"ended on {found.until}" if found.until else "was ended"
                    raise PolicyError(self._fault(name, area, on, f"the value for {area} {end}"))
                return found
        raise PolicyError(
            self._fault(name, area_code[:6], on, f"the first value of `{name}` for {area_code} begins later")
        )

    def _fault(self, name: str, area: str, on: dt.date, found: str) -> Fault:
        where = self.files.get(name, f"{POLICY_FOLDER}/{name}.yaml")
        unit = self.units.get(name, "")
        return Fault(
            f"{where} ({name})",
            found,
            f"a value in force on {on} for {area}",
            (
                f'Add `"{area}": {{{on.replace(day=1)}: {{value: …, source: "…"}}}}` ({unit}) there, or a '
                "row to the data folder's policy table."
            ),
        )


def _without_zeros(area_code: str) -> str:
    """The digits that name an area: 520000 is province 52, 522300 prefecture 5223, 000000 the nation."""
    for width, tail in ((12, 3), (9, 3), (6, 2), (4, 2), (2, 2)):
        if len(area_code) == width and area_code.endswith("0" * tail):
            area_code = area_code[:-tail]
    return area_code or NATIONAL


def _month_and_day(value: float | str | None) -> tuple[int, int]:
    """`09-01` as (9, 1). Raises ValueError for anything else, and for 29 February, which not every year
    has."""
    day = dt.datetime.strptime(f"2023-{value}", "%Y-%m-%d")
    return day.month, day.day


def _dated(values: Mapping[dt.date, DatedValue]) -> _Dated:
    days = sorted(values)
    return _Dated(tuple(days), tuple(values[day] for day in days))


def _faults_of(name: str, series: Series, where: object) -> list[Fault]:
    faults = []
    for area, values in series.values.items():
        for day, value in values.items():
            place = where(name, "values", area, str(day))  # type: ignore[operator]
            if name == "accounting_window":
                if value.value is not None and value.value not in ACCOUNTING_WINDOWS:
                    faults.append(
                        Fault(
                            place,
                            f"{value.value!r}",
                            f"one of {', '.join(ACCOUNTING_WINDOWS)}",
                            "Correct it.",
                        )
                    )
            elif name == "school_year_begins":
                try:
                    _month_and_day("01-01" if value.value is None else value.value)
                except ValueError:
                    faults.append(
                        Fault(place, f"{value.value!r}", "month and day, such as 09-01", "Correct it.")
                    )
            elif isinstance(value.value, str) or (value.value is not None and value.value < 0):
                faults.append(
                    Fault(place, f"{value.value!r}", "a number of 0 or more, or null", "Correct the value.")
                )
            if value.until is not None and value.until < day:
                faults.append(
                    Fault(place, f"until {value.until} is before {day}", "a later day", "Correct `until`.")
                )
    return faults


def _from_table(tables: Tables | None) -> dict[str, dict[str, _Dated]]:
    if tables is None or "policy" not in tables:
        return {}
    found: dict[str, dict[str, dict[dt.date, DatedValue]]] = {}
    for row in tables["policy"].iter_rows(named=True):
        area = _without_zeros(row["area_code"])
        value = DatedValue(value=row["value"], source=row["source"] or "policy table of the data folder")
        found.setdefault(row["name"], {}).setdefault(area, {})[row["valid_from"]] = value
    return {name: {area: _dated(values) for area, values in areas.items()} for name, areas in found.items()}
