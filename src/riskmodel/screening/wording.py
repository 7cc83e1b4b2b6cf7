"""Words around numbers: values with their units, comparisons, dates and gaps, in Chinese and English, right
for 0, 1, many and unknown."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from riskmodel.features.catalogue import Feature, PartOfWhole

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")

# unit -> (digits after the point, zh pattern, en pattern for one, en pattern otherwise)
_PATTERNS: Final[dict[str, tuple[int, str, str, str]]] = {
    "yuan": (0, "{}元", "{} yuan", "{} yuan"),
    "yuan_per_person": (0, "人均{}元", "{} yuan per person", "{} yuan per person"),
    "ratio": (1, "{}倍", "1.0 times", "{} times"),
    "times": (1, "{}次", "once", "{} times"),
    "items": (0, "{}项", "{}", "{}"),
    "visits": (1, "{}次", "{} visit", "{} visits"),
    "people": (1, "{}人", "{} person", "{} people"),
    "months": (1, "{}个月", "{} month", "{} months"),
    "quarters": (0, "{}个季度", "{} quarter", "{} quarters"),
    "days": (0, "{}天", "{} day", "{} days"),
    "years": (1, "{}年", "{} year", "{} years"),
    "age": (1, "{}岁", "{} year", "{} years"),
    "level": (0, "{}级", "level {}", "level {}"),
    "mu": (1, "{}亩", "{} mu", "{} mu"),
    "km": (1, "{}公里", "{} km", "{} km"),
    "households": (0, "{}户", "{} household", "{} households"),
    "number": (2, "{}", "{}", "{}"),  # a column of somebody's own table, whose unit nobody declared
}
_UNKNOWN: Final = {"zh": "不详", "en": "unknown"}
_YES_NO: Final = {"zh": ("否", "是"), "en": ("no", "yes")}


def digits_of(unit: str) -> int:
    """Decimal places with which a value of this unit is written (a share: of the share, not of its
    percent)."""
    return 2 if unit == "share" else 0 if unit == "flag" else _PATTERNS[unit][0]


def format_value(value: float, unit: str, language: Language) -> str:
    """A value with its unit, written out: 23,400元, 61%, 1 person, 2 people. NaN: unknown."""
    if math.isnan(value):
        return _UNKNOWN[language]
    if unit == "flag":
        return _YES_NO[language][int(value != 0)]
    if unit == "share":
        return _percent(value, language)
    digits, zh, one, many = _PATTERNS[unit]
    number = _number(value, digits)
    if number == "0" and value != 0:  # rounded away, but not nothing
        if value < 0:
            return zh.format("约0") if language == "zh" else f"about {many.format(0)}"
        least = "1" if digits == 0 else "0." + "0" * (digits - 1) + "1"
        return (
            "不到" + zh.format(least)
            if language == "zh"
            else "less than " + (one if least == "1" else many).format(least)
        )
    if language == "zh":
        if unit in MONEY and abs(value) >= 100_000:
            return zh.format(_number(value / 10_000, 1) + "万")
        return zh.format(number)
    if unit == "times" and number == "2":
        return "twice"
    single = number == "1" or (number == "-1" and unit != "times")
    return (one if single else many).format(number)


def _number(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def coarse_share(value: float, language: Language) -> str:
    """A share of the neighbours, in steps of 5 %, so that nobody can be counted out of it."""
    steps = round(abs(value) * 20) * 5
    if steps == 0:
        return "不到5%" if language == "zh" else "less than 5%"
    return f"约{steps}%" if language == "zh" else f"about {steps}%"


def _percent(value: float, language: Language) -> str:
    percent = value * 100
    if 0 < percent < LEAST_PERCENT:
        return "不到1%" if language == "zh" else "less than 1%"
    text = f"{percent:,.0f}%"
    return "0%" if text == "-0%" else text


def sentence(feature: Feature, value: float, language: Language) -> str:
    """The catalogue's sentence about a value. Unknown, zero and values below 0 (written by their size) have
    sentences of their own where the catalogue has them.

    Shares of an area's other households are rounded to steps of 5 %.
    """
    written = getattr(feature.sentence, language)
    label = getattr(feature.label, language)
    if math.isnan(value):
        general = f"暂无“{label}”的记录" if language == "zh" else f"There is no record for “{label}”"
        return str(written.missing or general)
    if value == 0 and written.zero:
        return str(written.zero)
    if value == 0 and feature.unit == "flag":
        return f"{label}：否" if language == "zh" else f"{label}: no"
    if value < 0 and written.negative:
        return _filled(feature, written.negative, -value, language)
    return _filled(feature, written.value, value, language)


def after(feature: Feature, value: float, language: Language) -> str:
    """What a share adds to the sentence of its amount: 相当于纯收入的61%, 61% of net income."""
    written = getattr(feature.sentence, language).after
    assert written is not None, "a share with an amount has `after`: the catalogue checks it"
    return _filled(feature, written, value, language)


def _filled(feature: Feature, written: str | PartOfWhole, value: float, language: Language) -> str:
    """A sentence of the catalogue with its value, written as its manner and unit ask."""
    how, unit = feature.manner, feature.unit
    template = form_of(written, value) if isinstance(written, PartOfWhole) else written
    if feature.levels and value in range(len(feature.levels)):
        text = getattr(feature.levels[int(value)], language)
    elif how == "change" and value >= MUCH and unit == "share":
        text = "10倍以上" if language == "zh" else "more than 1,000%"
    elif isinstance(written, PartOfWhole):
        text = part(value, language)
    else:
        text = briefly(value, unit, how, language)
    if "{yuan}" in template:
        return template.replace("{yuan}", format_value(value, "yuan", language))
    return template.replace("{value}", text)


def form_of(written: PartOfWhole, value: float) -> str:
    """The form of a sentence for a part of this size: a multiple, the whole, hardly anything, or a share."""
    if value >= MULTIPLE:
        return written.times or written.share
    percent = value * 100
    if written.whole and round(percent) == 100:
        return written.whole
    return written.least if written.least and 0 < percent < LEAST_PERCENT else written.share


def part(value: float, language: Language) -> str:
    """A part of a whole in percent; what is more than the whole, as so many times the whole."""
    if value < MULTIPLE:
        return _percent(value, language)
    number = _number(value, 1)
    if language == "zh":
        return "10倍以上" if value >= MUCH else f"{number}倍"
    return "more than 10 times" if value >= MUCH else "twice" if number == "2" else f"{number} times"


def briefly(value: float, unit: str, how: str, language: Language) -> str:
    """A value by itself, as its manner asks: a figure about neighbours in steps, days ago as a gap, ages in
    岁."""
    if how == "uncompared" and unit == "share":
        return coarse_share(value, language)
    if how == "since" and unit == "days":
        return gap(round(value), language)
    return format_value(value, "age" if how == "age" else unit, language)


def labelled(feature: Feature, value: float, language: Language) -> str:
    """Label and value, for tables and plots."""
    label = getattr(feature.label, language)
    unit = "yuan" if feature.label_names_unit and language == "zh" else feature.unit
    return f"{label}: {format_value(value, unit, language)}"


PARTS: Final = ("share", "ratio")
MONEY: Final = ("yuan", "yuan_per_person")
MULTIPLE: Final = 1.1  # times the whole: from here on a part is written as a multiple
LEAST_PERCENT: Final = 0.5  # less is written as "less than 1%"
MUCH: Final = 10.0  # times: beyond it the exact number adds no information

# manner -> zh for more and less (around the share of households), en for more and less
_COMPARED: Final = {
    "amount": ("高于{}", "低于{}", "higher than for", "lower than for"),
    "change": ("高于{}", "低于{}", "higher than for", "lower than for"),
    "count": ("多于{}", "少于{}", "more than for", "less than for"),
    "since": ("比{}间隔更久", "比{}间隔更短", "longer ago than for", "more recently than for"),
    "distance": ("比{}更远", "比{}更近", "farther than for", "nearer than for"),
    "age": ("比{}更年长", "比{}更年轻", "older than in", "younger than in"),
}


BETWEEN: Final = {"zh": "，", "en": ", "}  # between the parts of a sentence


class ReasonText(NamedTuple):
    """A reason's sentence in one language, in its parts, as it is kept. Where people read it, the parts are
    joined.

    statement: 近12个月住院3次. comparison: 多于本乡镇97%的农户. addition: the second figure of the topic.
    data: the date of its source; gap: for how long its source has not been renewed, in place of the date
    (reasons stored before 2026-12 have it in `data`). An empty part is not there.
    """

    statement: str
    comparison: str = ""
    addition: str = ""
    data: str = ""
    gap: str = ""

    def joined(self, language: Language) -> str:
        """The whole sentence."""
        return _in_brackets(self.undated(language), self.data or self.gap, language)

    def without_date(self, language: Language) -> str:
        """The sentence without the date of its data; that they have not been renewed for long stays."""
        return _in_brackets(self.undated(language), self.gap, language)

    def undated(self, language: Language) -> str:
        """The sentence with nothing about its data."""
        text, between = self.statement, BETWEEN[language]
        for part in (self.comparison, self.addition):
            if part:
                text = text + between + part if text else part
        return text


def _in_brackets(sentence: str, about: str, language: Language) -> str:
    if not about:
        return sentence
    return f"{sentence}（{about}）" if language == "zh" else f"{sentence} ({about})"


@lru_cache(maxsize=4096)
def compare(
    side: int,
    percent: int,
    level: str,
    language: Language,
    *,
    manner: str = "amount",
    below_zero: bool = False,
) -> str:
    """A comparison a person can picture, the second part of a sentence.

    side: 1 higher than `percent` of the households of the area, -1 lower, 2: so many share it; 0: no
    comparison. level: township or county. manner: see `features.catalogue.Manner`. below_zero: the sentence
    states a loss or a fall by its size, so `lower` would be read as a smaller loss; then the rank among all
    is given.
    """
    if side == 0 or (below_zero and side > 0):
        return ""
    zh = language == "zh"
    area = ("本乡镇" if level == "township" else "本县") if zh else f"in the {level}"
    if side == 2:
        if zh:
            return f"{area}约{percent}%的农户有此情况" if percent else f"{area}不到1%的农户有此情况"
        return f"true of {'about ' + str(percent) + '%' if percent else 'less than 1%'} of households {area}"
    if below_zero:
        return f"处于{area}最低的{100 - percent}%" if zh else f"among the lowest {100 - percent}% {area}"
    words = _COMPARED[manner]
    if zh:
        return words[0 if side > 0 else 1].format(f"{area}{percent}%的农户")
    return f"{words[2 if side > 0 else 3]} {percent}% of households {area}"


@lru_cache(maxsize=1024)
def format_date(day: dt.date, language: Language) -> str:
    """2025年11月20日 or 20 November 2025, whatever the machine's locale."""
    months = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]
    return (
        f"{day.year}年{day.month}月{day.day}日"
        if language == "zh"
        else f"{day.day} {months[day.month - 1]} {day.year}"
    )


def gap(days: int, language: Language) -> str:
    """A duration in a readable unit: 12天, 3个月, 2年 (days below 60, months below two years, then years)."""
    if days < 60:
        return format_value(days, "days", language)
    if days < 730:
        return format_value(round(days / 30.44), "months", language)
    return format_value(int(days / 365.25), "years", language)


def shown(values: npt.ArrayLike, unit: str) -> npt.NDArray[np.float64]:
    """Values rounded for display: to the decimal places of their unit, money to three figures (23,412 yuan is
    23,400).

    A value that would round to 0 is kept, so that it is not shown as nothing.
    """
    values = np.asarray(values, np.float64)
    return shown_each(values, np.full(values.shape, rounding_of(unit)))


def rounding_of(unit: str) -> int:
    """How a unit is rounded, for `shown_each`: digits after the point, or -1 for money."""
    return -1 if unit in MONEY else digits_of(unit)


def shown_each(values: npt.NDArray[np.float64], rounding: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The same for values of several units. rounding: of each value, see `rounding_of`."""
    rounded = values.copy()
    for digits in _DIGITS:
        hit = rounding == digits
        if hit.any():
            some = values[hit]
            if digits < 0:
                step = _STEPS[np.searchsorted(_FROM, np.abs(some), side="right")]
                rounded[hit] = np.round(some / step) * step
            else:
                rounded[hit] = np.round(some, digits)
    return np.where(rounded == 0, values, rounded)


_DIGITS: Final = (-1, 0, 1, 2)
_FROM: Final = np.array([1e3, 1e4, 1e5, 1e6, 1e7, 1e8])
_STEPS: Final = np.array([1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6])


def render(
    feature: Feature, values: npt.NDArray[np.float64], language: Language
) -> tuple[list[str], npt.NDArray[np.intp]]:
    """Sentences for many values: (the different sentences, for each value the place of its sentence). Each is
    written once."""
    different, place = np.unique(shown(values, feature.unit), return_inverse=True)
    return [sentence(feature, float(value), language) for value in different], place


def join(sentences: Sequence[str], language: Language) -> str:
    """Several sentences in one line."""
    return ("；" if language == "zh" else "; ").join(sentences)
