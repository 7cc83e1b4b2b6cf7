"""From the cells of a file to the contract's types: one parser a kind of column, over the distinct values.

Everything is text first: NFKC (full-width digits become plain ones), blanks and invisible marks at the ends
removed, only an empty cell is missing. Nothing is guessed: a value that has no certain meaning is refused
with its rows. Typed columns of a Parquet file take the same parsers wherever a mapping (`codes`, `missing`)
or a type that is not the contract's is involved, so that every form of a table gives the same column or the
same refusal.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import polars as pl

from riskmodel.tables import schema
from riskmodel.tables.county import dtype_of
from riskmodel.tables.identity import looks_like_a_name, looks_like_names
from riskmodel.tables.schema import Column

# Blanks and marks that cannot be seen and that programs leave at the ends of a value: control signs, all
# Unicode blanks, BOM, zero-width signs, marks of writing direction, soft hyphen.
INVISIBLE: Final = "".join(
    sign
    for code in (*range(0x21), *range(0x7F, 0xAE), *range(0x300, 0x3165), *range(0xFE00, 0xFFFC))
    if unicodedata.category(sign := chr(code)) in ("Cc", "Cf", "Zs", "Zl", "Zp")
    or code in (0x3164, 0xFE0E, 0xFE0F)
)
_ASCII_BLANK = r"^[\x00-\x20\x7f]|[\x00-\x20\x7f]$"
_EXCEL_ERROR = r"^#(N/A|GETTING_DATA|[A-Z0-9/]+[!?])$"
# What the reader of workbooks puts in place of a cell that holds no plain value.
NO_VALUE: Final = "(formula without a stored value)"
MERGED: Final = "(merged cells {})"
_NO_VALUE = r"^\(formula without a stored value\)$"
_MERGED = r"^\(merged cells [A-Z]+\d+:[A-Z]+\d+\)$"
_NO_PLAIN_VALUE = rf"{_EXCEL_ERROR}|{_NO_VALUE}|{_MERGED}"
_EXPONENT = r"^[+-]?\d+(\.\d*)?[eE][+-]?\d+$"
_PLAIN = r"^[+-]?\d+(\.\d+)?$"
_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_WHOLE = r"^([+-]?\d+)\.0+$"
TRUE_WORDS: Final = ("true", "1", "1.0", "是")
FALSE_WORDS: Final = ("false", "0", "0.0", "否")
SEPARATORS: Final = r"[;、,/|+\s]+"  # between several codes in one cell
SHOWN_VALUES = 3

_MIDNIGHT = r"(?:[T ]+(?:00?:00(?::00(?:\.0+)?)?|上午 ?12:00(?::00)?|12:00(?::00)? ?AM))?$"
_DATES = (
    r"^(\d{4})-(\d{1,2})-(\d{1,2})" + _MIDNIGHT,
    r"^(\d{4})/(\d{1,2})/(\d{1,2})" + _MIDNIGHT,
    r"^(\d{4})(\d{2})(\d{2})(?:\.0+)?" + _MIDNIGHT,
    r"^(\d{4})年(\d{1,2})月(\d{1,2})日" + _MIDNIGHT,
)
_MONTHS = (
    r"^(\d{4})-(\d{1,2})$",
    r"^(\d{4})/(\d{1,2})$",
    r"^(\d{4})(0[1-9]|1[0-2])(?:\.0+)?$",
    r"^(\d{4})年(\d{1,2})月$",
)
_ANY_MONTH = "|".join(_MONTHS)

# Unit of a number in an extract -> (what the contract counts, factor as a power of ten or a number).
UNITS: Mapping[str, tuple[str, int | float]] = {
    "元": ("yuan", 0),
    "yuan": ("yuan", 0),
    "千元": ("yuan", 3),
    "万元": ("yuan", 4),
    "角": ("yuan", -1),
    "分": ("yuan", -2),
    "亩": ("mu", 0),
    "mu": ("mu", 0),
    "公顷": ("mu", 15.0),
    "公里": ("km", 0),
    "千米": ("km", 0),
    "km": ("km", 0),
    "米": ("km", -3),
    "m": ("km", -3),
    "里": ("km", 0.5),
    "天": ("days", 0),
    "days": ("days", 0),
}

DayOfMonth = Literal["first", "last"]


@dataclass(frozen=True)
class Manner:
    """How an extract writes one column, from `tables.yaml`.

    unit: the extract's own unit of a number. codes: the extract's codes -> the contract's. missing: cells
    that mean nothing is known, compared as text and, for dates and numbers, as values. day: which day is
    meant where only the month is given.
    """

    unit: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    day: DayOfMonth | None = None


@dataclass(frozen=True)
class Complaint:
    """Rows whose value was refused. `rows` are positions in the frame, ascending."""

    check: str
    rows: pl.Series
    found: str
    expected: str
    remedy: str
    zh: str = ""


@dataclass
class Converted:
    """A column in its canonical type; refused values are null in it and named in `complaints`."""

    values: pl.Series
    complaints: list[Complaint] = field(default_factory=list)
    note: str = ""


def unit_fits(column: Column, unit: str) -> bool:
    """Whether an extract's unit can be turned into the column's."""
    return unit in UNITS and column.unit is not None and column.unit.startswith(UNITS[unit][0])


def plain(text: str) -> str:
    """One heading, or one cell named in a mapping: NFKC, without invisible marks at the ends, a line break
    inside as one blank.
    """
    return re.sub(r"\s*[\r\n\v\f\u2028\u2029]+\s*", " ", unicodedata.normalize("NFKC", text).strip(INVISIBLE))


def clean_text(series: pl.Series, missing: Sequence[str] = ()) -> pl.Series:
    """NFKC, without blanks and invisible marks at the ends; empty cells (and the values named as missing) are
    null.
    """
    if (series.str.len_bytes() != series.str.len_chars()).any():
        series = series.str.normalize("NFKC").str.strip_chars(INVISIBLE)
    elif series.str.contains(_ASCII_BLANK).any():
        series = series.str.strip_chars(INVISIBLE)
    gone = (series == "").fill_null(False)
    if missing:
        gone = gone | series.is_in(pl.Series(list(missing), dtype=pl.String).implode()).fill_null(False)
    return _only(series, ~gone) if gone.any() else series


def _only(series: pl.Series, keep: pl.Series) -> pl.Series:
    """The series with null where `keep` is false."""
    return pl.select(pl.when(keep).then(series)).to_series().rename(series.name)


def convert(series: pl.Series, column: Column, manner: Manner | None = None) -> Converted:
    """One column of an extract in the contract's type. Refused values become null and are named in the
    complaints, with positions.
    """
    manner = manner or Manner()
    dtype, target = series.dtype, dtype_of(column)
    mapped = bool(manner.codes or manner.missing)
    if dtype == target and column.kind in ("code", "boolean") and not mapped:
        return Converted(series)
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        series, dtype = series.cast(pl.String), pl.String()
    if dtype == pl.Null:
        return Converted(pl.Series(series.name, [None] * len(series), dtype=target))
    if dtype == pl.String:
        return _from_text(clean_text(series, manner.missing), column, manner)
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        found = f"a column of type {dtype}"
        remedy = "Write the column in that type, or as text."
        complaint = Complaint(
            check="wrong_type",
            rows=pl.Series([], dtype=pl.UInt32),
            found=found,
            expected=expected_of(column),
            remedy=remedy,
        )
        return Converted(pl.Series(series.name, [None] * len(series), dtype=target), [complaint])
    return _from_typed(series, column, manner)


def _from_typed(series: pl.Series, column: Column, manner: Manner) -> Converted:
    """Columns of a Parquet file that are not text: quick where the type is the column's own, else as the text
    of their values.
    """
    dtype, kind = series.dtype, column.kind
    number = dtype.is_numeric() or dtype.is_decimal()
    if dtype.is_float():
        series = series.fill_nan(None)
    if kind in ("money", "number", "integer") and number:
        values = series.cast(pl.Float64)
        if manner.missing:
            values = _only(values, ~_among(values, _missing_values(column, manner)))
        if manner.unit:
            values = _scaled(values, UNITS[manner.unit][1])
        strange = _broken(values) if kind == "integer" else None
        return _bounded(values, column, _as_text(series), strange)
    if kind == "date" and (dtype == pl.Date or isinstance(dtype, pl.Datetime)):
        days = series if dtype == pl.Date else series.dt.date()
        if manner.missing:
            gone = _among(days, _missing_values(column, manner))
            series, days = _only(series, ~gone), _only(days, ~gone)
        strange = (days < schema.FIRST_DAY) | (days > schema.LAST_DAY)
        if dtype != pl.Date:
            strange = strange | (series.dt.truncate("1d") != series)
        strange = strange.fill_null(False)
        if not strange.any():
            return Converted(days.rename(series.name))
        return Converted(
            _only(days, ~strange).rename(series.name), _explain(strange, column, _as_text(series))
        )
    if kind == "boolean" and number and not (manner.codes or manner.missing):
        values = (
            pl.select(pl.when(series == 1).then(True).when(series == 0).then(False))
            .to_series()
            .rename(series.name)
        )
        strange = values.is_null() & series.is_not_null()
        return Converted(values, _explain(strange, column, _as_text(series)) if strange.any() else [])
    text = clean_text(_as_text(series), manner.missing)
    if kind == "id" and dtype.is_float():  # whatever they look like: digits and leading zeros are lost
        return _refused(text, text.is_not_null(), column, text)
    converted = _from_text(text, column, manner)
    if kind in ("id", "area") and dtype.is_integer():
        # Whole numbers are kept as they are written; leading zeros that they may have had cannot be seen any
        # more.
        converted.note = "numbers"
    return converted


def _as_text(series: pl.Series) -> pl.Series:
    """The text that a CSV of the same values has: dates as 2025-03-01, flags as true and false."""
    if isinstance(series.dtype, pl.Datetime):
        return series.dt.strftime("%Y-%m-%d %H:%M:%S")
    return series.cast(pl.String)


def _from_text(text: pl.Series, column: Column, manner: Manner) -> Converted:
    if column.kind == "id":
        return _refused(text, _no_id(text), column, text)
    if column.kind == "text":
        return _refused(text, text.str.contains(_NO_PLAIN_VALUE).fill_null(False), column, text)
    known = pl.DataFrame({"text": text.drop_nulls().unique().sort()})
    if manner.missing and column.kind in ("money", "number", "integer", "date"):
        gone = known["text"].filter(_among(_parsed(known["text"], column), _missing_values(column, manner)))
        if gone.len():
            text = _only(text, ~text.is_in(gone.implode()).fill_null(False))
            known = known.filter(~pl.col("text").is_in(gone.implode()))
    values = _parsed(known["text"], column, manner)
    typed = values.dtype
    values = text.replace_strict(known["text"], values, default=None, return_dtype=typed).rename(text.name)
    strange = values.is_null() & text.is_not_null()
    if column.kind in ("money", "number", "integer"):
        return _bounded(values, column, text, strange)
    return _refused(values.cast(dtype_of(column)), strange, column, text)


def _parsed(text: pl.Series, column: Column, manner: Manner | None = None) -> pl.Series:
    """Distinct, cleaned, non-empty texts as values of the column's kind; null is what cannot be read. Numbers
    come as floats.
    """
    known = pl.DataFrame({"text": text})
    manner = manner or Manner()
    match column.kind:
        case "date":
            values = _date(pl.col("text"), manner.day or ("last" if column.month_end else None))
        case "money" | "number":
            return _numbers(known, manner.unit)
        case "integer":
            numbers = _numbers(known, None)
            return _only(numbers, ~_broken(numbers))
        case "area":
            digits = pl.col("text").str.contains(r"^\d+$") & pl.col("text").str.len_bytes().is_in(
                column.digits
            )
            values = pl.when(digits).then(pl.col("text"))
        case "boolean":
            return _flags(known["text"], manner.codes)
        case "code":
            return _coded(known["text"], column, manner.codes)
        case "codes":
            return _several_coded(known["text"], column, manner.codes)
        case _:  # pragma: no cover
            raise AssertionError(column.kind)
    return known.select(value=values).to_series()


def _missing_values(column: Column, manner: Manner) -> pl.Series:
    """The cells named under `missing`, as values of the column's kind: dates of any year, numbers in the
    extract's own unit.
    """
    text = clean_text(pl.Series(list(manner.missing), dtype=pl.String)).drop_nulls()
    if column.kind == "date":
        return pl.DataFrame({"text": text}).select(_day(pl.col("text"), _DATES)).to_series().drop_nulls()
    return _parsed(text, column).drop_nulls()


def _among(values: pl.Series, some: pl.Series) -> pl.Series:
    return values.is_in(some.cast(values.dtype).implode()).fill_null(False)


# Parsers: over distinct, cleaned, non-empty texts. Null means refused.


def _day(text: pl.Expr, forms: Sequence[str], last: str | None = None) -> pl.Expr:
    """The day of a text in one of the forms (year, month, day); `last`: the day where the form has none."""
    parts = [
        pl.coalesce(text.str.extract(form, place) for form in forms)
        for place in ((1, 2) if last else (1, 2, 3))
    ]
    day = pl.lit(last) if last else parts[2].str.zfill(2)
    return pl.concat_str(parts[0], parts[1].str.zfill(2), day, separator="-").str.to_date(
        "%Y-%m-%d", strict=False
    )


def _date(text: pl.Expr, of_month: DayOfMonth | None) -> pl.Expr:
    day = _day(text, _DATES)
    if of_month:
        first = _day(text, _MONTHS, "01")
        day = pl.coalesce(day, first.dt.month_end() if of_month == "last" else first)
    return pl.when(day.is_between(schema.FIRST_DAY, schema.LAST_DAY)).then(day)


def _numbers(known: pl.DataFrame, unit: str | None) -> pl.Series:
    power = UNITS[unit][1] if unit else 0
    text = pl.col("text")
    plain = text.str.contains(_PLAIN) | text.str.contains(_GROUPED)
    digits = pl.when(plain).then(text.str.replace_all(",", ""))
    # The exponent is appended to the text, so that 1.2345 万元 is exactly the 12345 yuan of a clean file.
    value = (
        (digits + f"e{power}").cast(pl.Float64, strict=False)
        if isinstance(power, int)
        else digits.cast(pl.Float64, strict=False) * power
    )
    infinite = text.str.to_lowercase().str.contains(r"^[+-]?inf(inity)?$")
    sign = pl.when(text.str.starts_with("-")).then(-1.0).otherwise(1.0)
    return known.select(value=pl.when(infinite).then(sign * float("inf")).otherwise(value + 0.0)).to_series()


def _scaled(values: pl.Series, factor: int | float) -> pl.Series:
    """Floats of a typed file in the contract's unit; through their shortest decimal form, as `_numbers` does
    with text.
    """
    if isinstance(factor, float):
        return values * factor
    text = values.cast(pl.String)
    return pl.select(
        pl.when(text.str.contains("[einf]"))
        .then(values * 10.0**factor)
        .otherwise((text + f"e{factor}").cast(pl.Float64, strict=False))
    ).to_series()


def _broken(values: pl.Series) -> pl.Series:
    """Whether a number is not whole; an infinite one counts as whole, and is refused by its bounds."""
    return ((values != values.floor()) & values.is_finite()).fill_null(False)


def _flags(text: pl.Series, codes: Mapping[str, str]) -> pl.Series:
    """True and false; the extract's own words first, and where one of them is a usual word, all forms of that
    word.
    """
    own = dict(codes)
    for words in (TRUE_WORDS, FALSE_WORDS):
        meant = {codes[word] for word in codes if word.lower() in words}
        if len(meant) == 1:
            own |= {word: next(iter(meant)) for word in words if word not in own}
    read = [own.get(word) or own.get(word.lower()) or word.lower() for word in text]
    values = [True if word in TRUE_WORDS else False if word in FALSE_WORDS else None for word in read]
    return pl.Series(values, dtype=pl.Boolean)


def known_codes(column: Column, codes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Everything that is read as a code of this column: the code itself, the Chinese value, and the extract's
    own.
    """
    assert column.codes is not None
    read = {code: code for code in column.codes}
    read |= {zh: code for code, zh in column.codes.items() if zh}
    return read | dict(codes or {})


def _coded(text: pl.Series, column: Column, codes: Mapping[str, str]) -> pl.Series:
    read = known_codes(column, codes)
    # A code that a program has turned into a decimal number (`1.0`) is the whole number that it was.
    values = [read.get(word) or read.get(re.sub(_WHOLE, r"\1", word)) for word in text]
    return pl.Series(values, dtype=pl.String)


def _several_coded(text: pl.Series, column: Column, codes: Mapping[str, str]) -> pl.Series:
    """Several codes in one cell, put into the contract's order and joined by `;`, each once."""
    read = known_codes(column, codes)
    assert column.codes is not None
    order = list(column.codes)
    values: list[str | None] = []
    for cell in text:
        parts = [cell] if cell in read else [part for part in re.split(SEPARATORS, cell) if part]
        if not parts or any(part not in read for part in parts):
            values.append(None)
        else:
            values.append(";".join(sorted({read[part] for part in parts}, key=order.index)))
    return pl.Series(values, dtype=pl.String)


def joined_codes(columns: Sequence[pl.Series], column: Column, manner: Manner) -> pl.Series:
    """Several columns of an extract as one of kind `codes`: their cells joined by `;`.

    A column that is named like a code and holds only flags (因病: 是, 否) counts as that code where its flag
    is true.
    """
    read = known_codes(column, manner.codes)
    parts = []
    for series in columns:
        text = clean_text(series.cast(pl.String), manner.missing)
        if (code := read.get(plain(series.name))) is not None:
            words = text.drop_nulls().unique()
            flags = _flags(words, {})
            if not flags.has_nulls():
                text = text.replace_strict(
                    words, pl.Series([code if flag else None for flag in flags], dtype=pl.String)
                )
        parts.append(text)
    return pl.select(pl.concat_str(parts, separator=";", ignore_nulls=True)).to_series()


def _no_id(text: pl.Series) -> pl.Series:
    """Whether a cell does not keep the id rule of the contract; the whole rule is applied only where a cell
    is not plain.
    """
    strange = (text.str.len_bytes() > schema.ID_LENGTH).fill_null(False)
    if text.str.contains(schema.ID_NOT_PLAIN).any():
        strange = strange | text.str.contains(schema.ID_WRONG_SIGNS)
        strange = strange | text.str.contains(rf"^(?:{schema.ID_SHORTENED}|{schema.ID_DECIMAL})$")
    return strange.fill_null(False)


# Complaints: what was found, in words, with the rows.


def expected_of(column: Column) -> str:
    """What the contract expects in this column, in words."""
    match column.kind:
        case "id":
            return f"an id of {schema.ID_RULE}"
        case "area":
            return (
                " or ".join(str(length) for length in column.digits) + " digits of the statistical area code"
            )
        case "date":
            years = f"{schema.FIRST_DAY.year} to {schema.LAST_DAY.year}"
            return f"a date like 2025-03-01, 2025/3/1, 20250301 or 2025年3月1日, of the years {years}"
        case "money":
            return f"an amount in {column.unit}, {_bounds(column)}"
        case "number":
            return f"a number in {column.unit}, {_bounds(column)}"
        case "integer":
            return f"a whole number, {_bounds(column)}"
        case "boolean":
            return "true or false, 1 or 0, 是 or 否"
        case "code":
            assert column.codes is not None
            return "one of " + ", ".join(
                f"{code} ({zh})" if zh else code for code, zh in column.codes.items()
            )
        case "codes":
            assert column.codes is not None
            return "codes separated by `;` or `、` out of " + ", ".join(
                f"{code} ({zh})" if zh else code for code, zh in column.codes.items()
            )
        case _:
            return "text"


def _bounds(column: Column) -> str:
    return f"{column.at_least:,.0f} to {column.at_most:,.0f}"


def _bounded(values: pl.Series, column: Column, text: pl.Series, strange: pl.Series | None) -> Converted:
    """Numbers (as floats) within the column's bounds, in its type. `strange`: cells that are refused
    already.
    """
    complaints: list[Complaint] = []
    if strange is not None and strange.any():
        complaints += _explain(strange, column, text)
        values = _only(values, ~strange)
    assert column.at_least is not None and column.at_most is not None
    least, most = values.min(), values.max()
    if least is not None and most is not None and (least < column.at_least or most > column.at_most):  # type: ignore[operator]
        infinite = values.is_infinite().fill_null(False)
        negative = (values < 0).fill_null(False) & ~infinite
        outside = (
            ((values < column.at_least) | (values > column.at_most)).fill_null(False) & ~infinite & ~negative
        )
        for check, mask, found in (
            ("infinite", infinite, "an infinite amount"),
            ("negative", negative, "a negative value"),
            ("out_of_range", outside, f"a value outside {_bounds(column)}"),
        ):
            if mask.any():
                shown = f"{found} ({_show(text.filter(mask).str.replace(_WHOLE, '$1'))})"
                remedy = "Correct it at its source, or leave the row out."
                complaints.append(
                    Complaint(
                        check=check,
                        rows=mask.arg_true(),
                        found=shown,
                        expected=expected_of(column),
                        remedy=remedy,
                    )
                )
                values = _only(values, ~mask)
    target = dtype_of(column)
    return Converted(values if values.dtype == target else values.cast(target), complaints)


def _refused(values: pl.Series, refused: pl.Series, column: Column, text: pl.Series) -> Converted:
    if not refused.any():
        return Converted(values)
    return Converted(_only(values, ~refused), _explain(refused, column, text))


def _explain(refused: pl.Series, column: Column, text: pl.Series) -> list[Complaint]:
    """One complaint for each way in which a value can be wrong."""
    left = refused
    complaints = []
    expected = expected_of(column)

    def take(pattern: str | None, check: str, found: str, remedy: str) -> None:
        nonlocal left
        mask = (text.str.contains(pattern) if pattern else left).fill_null(False) & left
        if mask.any():
            bad = text.filter(mask)
            shown = f"{found} ({_show(bad, pseudonym=column.kind == 'id')})"
            remedy = remedy.replace(
                "{cell}", mask_identity(str(bad.drop_nulls()[0])) if bad.drop_nulls().len() else ""
            )
            complaints.append(
                Complaint(check=check, rows=mask.arg_true(), found=shown, expected=expected, remedy=remedy)
            )
            left = left & ~mask

    as_missing = (
        '; where nothing is known, write `missing: ["{cell}"]` for the table in tables.yaml'
        if column.optional
        else ""
    )
    take(
        _EXCEL_ERROR,
        "formula_error",
        "a formula error of a spreadsheet",
        f"Mend the formula in the workbook and export again{as_missing}.",
    )
    take(
        _NO_VALUE,
        "formula_without_value",
        "a formula whose result is not stored in the file",
        "Open the workbook in the spreadsheet, which calculates it, save it there and check again.",
    )
    take(
        _MERGED,
        "merged_cells",
        "merged cells over several rows or columns",
        (
            "Take the merging apart in the spreadsheet (取消合并单元格), fill in the value of each row (or "
            "delete a row that is only a note), and save it again."
        ),
    )
    match column.kind:
        case "id" | "area":
            take(
                _EXPONENT,
                "exponent_id",
                "an id that a spreadsheet has turned into a number with an exponent; its digits are lost",
                (
                    "Set the column to text in the spreadsheet (设置单元格格式 → 文本) before the ids are "
                    "pasted, and export again."
                ),
            )
            take(
                r"^\d+\.0+$",
                "id_as_number",
                "an id that was turned into a decimal number; leading zeros may be lost",
                "Export the column as text at its source.",
            )
            take(
                r"""^['"=]""",
                "quoted_id",
                "an id with a quote mark or formula sign in front",
                "Export the plain text of the id.",
            )
            if column.kind == "area":
                take(
                    None,
                    "bad_area",
                    "not an area code of this level",
                    "Give the statistical code of this level, as text, without padding.",
                )
            take(
                None,
                "bad_id",
                "not an id",
                (
                    "Give each household and person a pseudonym of letters and digits at the source; "
                    "blanks, slashes and Chinese are not taken, because an id is part of addresses "
                    "and file names."
                ),
            )
        case "date":
            take(
                r"^\d{5}(\.\d+)?$",
                "unknown_date",
                "a spreadsheet's day number instead of a date",
                "Format the column as a date in the workbook, or export it as 2025-03-01.",
            )
            take(
                r"^0{4}\D?0{1,2}\D?0{1,2}\b",
                "unknown_date",
                "a sign for no date",
                'Write `missing: ["{cell}"]` for the table in tables.yaml.'
                if column.optional
                else "Give the date.",
            )
            take(
                _ANY_MONTH,
                "unknown_date",
                "a month without a day",
                (
                    f"Give the day at the source; or write `{column.name}: {{day: last}}` (or `first`) "
                    "under `columns` of the table in tables.yaml if that day of the month is meant."
                ),
            )
            years = text.filter(left.fill_null(False)).drop_nulls().unique()
            beyond = years.filter(
                pl.DataFrame({"text": years}).select(_day(pl.col("text"), _DATES)).to_series().is_not_null()
            )
            if beyond.len():
                pattern = "^(?:" + "|".join(re.escape(year) for year in beyond.sort().head(1000)) + ")$"
                open_end = " If it means an open end" if column.optional else ""
                write = (
                    ', write `missing: ["{cell}"]` for the table in tables.yaml.' if column.optional else ""
                )
                words = f"a date outside the years {schema.FIRST_DAY.year} to {schema.LAST_DAY.year}"
                take(pattern, "unknown_date", words, f"Correct it at its source.{open_end}{write}")
            take(
                r"^\d{4}.*\d:\d",
                "unknown_date",
                "a date with a time of day, in no known form or not midnight",
                "Export the date alone, as 2025-03-01.",
            )
            take(
                None,
                "unknown_date",
                "a date in no known form, or a day that does not exist",
                "Write it as 2025-03-01.",
            )
        case "money" | "number" | "integer":
            take(
                _EXPONENT,
                "exponent_number",
                "a number with an exponent; a spreadsheet has shortened it",
                "Format the column as a plain number and export again.",
            )
            take(
                r"^[+-]?[\d,.]+\s*(元|万元|万|千元|亩|公里|天|%)$",
                "unit_in_cell",
                "a number with its unit in the cell",
                (
                    "Leave the unit out; if the whole column is in another unit, name it in tables.yaml "
                    "(`{from: …, unit: 万元}`)."
                ),
            )
            take(
                None,
                "not_a_number",
                "not a number",
                "Correct it; leave the cell empty where nothing is known.",
            )
        case "boolean":
            take(
                None,
                "not_true_or_false",
                "neither true nor false",
                "Correct it, or map the value in tables.yaml under `codes`.",
            )
        case _:
            near = _nearest(text.filter(left.fill_null(False)), column)
            hint = f" Did you mean `{near}`?" if near else ""
            take(
                None,
                "unknown_code",
                "an unknown code",
                f"Correct it, or map it in tables.yaml under `codes`.{hint}",
            )
    return complaints


def _nearest(values: pl.Series, column: Column) -> str | None:
    if column.codes is None or not values.drop_nulls().len():
        return None
    names = list(known_codes(column))
    near = difflib.get_close_matches(str(values.drop_nulls()[0]).lower(), names, n=1, cutoff=0.6)
    return near[0] if near else None


def _show(values: pl.Series, *, pseudonym: bool = False) -> str:
    """Up to three different values, so that a person recognises them. Long digits are masked: they may be
    somebody's number.

    pseudonym: the values should be ids; Chinese characters among them are withheld, since they may be
    somebody's name.
    """
    some = values.drop_nulls().unique(maintain_order=True)
    if looks_like_names(some) or any(looks_like_a_name(str(value)) for value in some.head(SHOWN_VALUES)):
        return "values that look like names, withheld"
    shown = [mask_identity(str(value)) for value in some.head(SHOWN_VALUES)]
    if pseudonym:
        shown = [re.sub(r"[㐀-鿿]+", "…", value) for value in shown]
    return ", ".join(f"`{value}`" for value in shown) + (", …" if len(some) > SHOWN_VALUES else "")


def mask_identity(text: str) -> str:
    """Text for a message: every run of 11 or more digits hidden but for its first three, cut to 40
    characters, invisible marks named.
    """
    hidden = re.sub(r"\d{11,}[0-9Xx]?", lambda found: found.group()[:3] + "…", text)
    hidden = hidden if len(hidden) <= 40 else hidden[:39] + "…"
    return "".join(f"<U+{ord(sign):04X}>" if sign in INVISIBLE and sign != " " else sign for sign in hidden)
