"""From what stands in a file to the contract's types: one parser a kind of column, over the distinct values.

Everything is text first: NFKC (full-width digits become plain ones), blanks at the ends removed, only an empty cell is missing.
Nothing is guessed: a value that has no certain meaning is refused with its rows.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from riskmodel.tables.county import dtype_of
from riskmodel.tables.identity import looks_like_names
from riskmodel.tables.schema import Column
from riskmodel.vocabulary import COUNTY_DIGITS, TOWNSHIP_DIGITS, VILLAGE_DIGITS

# Blanks that spreadsheets leave behind, beside Unicode's own: BOM, zero-width characters.
_BLANKS = "\ufeff\u200b\u200c\u200d\u2060"
_ASCII_BLANK = r"^[\s\x00]|[\s\x00]$"
_EXCEL_ERROR = r"^#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!)$"
_EXPONENT = r"^[+-]?\d+(\.\d*)?[eE][+-]?\d+$"
_PLAIN = r"^[+-]?\d+(\.\d+)?$"
_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_TRUE = ("true", "1", "1.0", "是")
_FALSE = ("false", "0", "0.0", "否")
YEARS = (1880, 2100)
SHOWN_VALUES = 3

AREA_LENGTHS: Mapping[str, tuple[int, ...]] = {
    "county_code": (COUNTY_DIGITS,),
    "township_code": (TOWNSHIP_DIGITS,),
    "village_code": (VILLAGE_DIGITS,),
    "area_code": (COUNTY_DIGITS, TOWNSHIP_DIGITS, VILLAGE_DIGITS),
}
PROVINCE_DIGITS = 2

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
    """A column in its canonical type; refused values are null in it and stand in `complaints`."""

    values: pl.Series
    complaints: list[Complaint] = field(default_factory=list)
    note: str = ""


def unit_fits(column: Column, unit: str) -> bool:
    """Whether an extract's unit can be turned into the column's."""
    return unit in UNITS and column.unit is not None and column.unit.startswith(UNITS[unit][0])


def clean_text(series: pl.Series, missing: tuple[str, ...] = ()) -> pl.Series:
    """NFKC, without blanks at the ends; empty cells (and the values named as missing) are null."""
    if (series.str.len_bytes() != series.str.len_chars()).any():
        series = series.str.normalize("NFKC").str.strip_chars().str.strip_chars(_BLANKS).str.strip_chars()
    elif series.str.contains(_ASCII_BLANK).any():
        series = series.str.strip_chars()
    gone = (series == "").fill_null(False)
    if missing:
        gone = gone | series.is_in(pl.Series(list(missing)).implode()).fill_null(False)
    return pl.select(pl.when(~gone).then(series)).to_series().rename(series.name) if gone.any() else series


def convert(
    series: pl.Series,
    column: Column,
    *,
    unit: str | None = None,
    codes: Mapping[str, str] | None = None,
    missing: tuple[str, ...] = (),
    table: str = "",
) -> Converted:
    """One column of an extract in the contract's type.

    `unit`: the extract's own unit, from `tables.yaml`. `codes`: the extract's codes -> the contract's. `missing`: cells that mean
    nothing is known. Refused values become null and are named in the complaints, with their positions.
    """
    dtype = series.dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        if column.kind == "code" and not codes and dtype == dtype_of(column):
            return Converted(series)
        series, dtype = series.cast(pl.String), pl.String()
    if dtype == pl.Null:
        return Converted(pl.Series(series.name, [None] * len(series), dtype=dtype_of(column)))
    if dtype == pl.String:
        return _from_text(clean_text(series, missing), column, unit, codes, table)
    return _from_typed(series, column, unit, table)


def _from_text(text: pl.Series, column: Column, unit: str | None, codes: Mapping[str, str] | None, table: str) -> Converted:
    if column.kind in ("id", "text"):
        return _refuse(text, _strange_text(text, column.kind), column, text)
    distinct = text.drop_nulls().unique().sort()
    known = pl.DataFrame({"text": distinct})
    match column.kind:
        case "date":
            parsed = known.with_columns(value=_date(pl.col("text")))
        case "money" | "number":
            parsed = _numbers(known, unit)
        case "integer":
            parsed = known.with_columns(value=_integer(pl.col("text")))
        case "boolean":
            lower = pl.col("text").replace(dict(codes or {})).str.to_lowercase()
            parsed = known.with_columns(value=pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False))
        case "area":
            parsed = known.with_columns(value=pl.when(_area(pl.col("text"), column, table)).then(pl.col("text")))
        case "code":
            parsed = _coded(known, column, codes)
        case "codes":
            parsed = _several_coded(known, column, codes)
        case _:  # pragma: no cover
            raise AssertionError(column.kind)
    parsed = parsed.with_columns(pl.col("value").cast(dtype_of(column)))
    values = text.replace_strict(parsed["text"], parsed["value"], default=None, return_dtype=dtype_of(column)).rename(text.name)
    return _refuse(values, values.is_null() & text.is_not_null(), column, text, table)


def _from_typed(series: pl.Series, column: Column, unit: str | None, table: str) -> Converted:
    """Columns of a Parquet file that are not text."""
    dtype, kind, target = series.dtype, column.kind, dtype_of(column)
    whole = pl.Series([], dtype=pl.Boolean)
    if dtype == target and kind not in ("money", "number") and unit is None:
        values = series
    elif kind in ("money", "number") and (dtype.is_numeric() or dtype.is_decimal()):
        values = series.cast(pl.Float64).fill_nan(None)
        if unit:
            values = _scaled(values, UNITS[unit][1])
    elif kind == "integer" and dtype.is_integer():
        values = series.cast(pl.Int32, strict=False)
        whole = values.is_null() & series.is_not_null()
    elif kind == "integer" and dtype.is_float():
        series = series.fill_nan(None)
        values = series.cast(pl.Int32, strict=False)
        whole = (values.is_null() & series.is_not_null()) | (values.cast(pl.Float64) != series).fill_null(False)
    elif kind == "date" and dtype == pl.Date:
        values = series
    elif kind == "date" and isinstance(dtype, pl.Datetime):
        values = series.dt.date()
        whole = (series.dt.truncate("1d") != series).fill_null(False)
    elif kind == "boolean" and dtype.is_numeric():
        number = series.cast(pl.Float64).fill_nan(None)
        values = pl.select(pl.when(number == 1).then(True).when(number == 0).then(False)).to_series()
        whole = values.is_null() & number.is_not_null()
    elif kind in ("date", "text", "code", "codes") and dtype.is_integer():
        return _from_text(series.cast(pl.String), column, None, None, table)
    elif kind in ("id", "area") and dtype.is_integer():
        # Whole numbers are kept as they are written; leading zeros that they may have had cannot be seen any more.
        converted = _from_text(series.cast(pl.String), column, None, None, table)
        converted.note = "numbers"
        return converted
    elif kind in ("id", "area") and dtype.is_float():
        rows = series.fill_nan(None).is_not_null().arg_true()
        complaint = Complaint(
            "id_as_number",
            rows,
            "ids kept as floating-point numbers; digits and leading zeros are lost",
            "ids as text",
            "Export the column as text at its source; the lost digits cannot be mended here.",
        )
        return Converted(pl.Series(series.name, [None] * len(series), dtype=target), [complaint])
    else:
        complaint = Complaint(
            "wrong_type",
            pl.Series([], dtype=pl.UInt32),
            f"a column of type {dtype}",
            _expected(column, table),
            "Write the column in that type, or as text.",
        )
        return Converted(pl.Series(series.name, [None] * len(series), dtype=target), [complaint])
    values = values.rename(series.name)
    if whole.len() and whole.any():
        values = pl.select(pl.when(~whole).then(values)).to_series().rename(series.name)
        return _refuse(values, whole, column, series.cast(pl.String), table)
    if kind in ("money", "number", "integer"):
        return _refuse(values, pl.Series([], dtype=pl.Boolean), column, values)
    if kind in ("date",):
        years = values.dt.year()
        strange = ((years < YEARS[0]) | (years > YEARS[1])).fill_null(False)
        if strange.any():
            return _refuse(
                pl.select(pl.when(~strange).then(values)).to_series().rename(series.name),
                strange,
                column,
                series.cast(pl.String),
                table,
            )
    return Converted(values)


# Parsers: expressions over the column `text` of distinct, cleaned, non-empty values. Null means refused.


def _date(text: pl.Expr) -> pl.Expr:
    forms = (
        r"^(?<y>\d{4})-(?<m>\d{2})-(?<d>\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?$",
        r"^(?<y>\d{4})/(?<m>\d{1,2})/(?<d>\d{1,2})$",
        r"^(?<y>\d{4})(?<m>\d{2})(?<d>\d{2})$",
        r"^(?<y>\d{4})年(?<m>\d{1,2})月(?<d>\d{1,2})日$",
    )
    parts = [pl.coalesce(text.str.extract(form, place) for form in forms) for place in (1, 2, 3)]
    day = pl.concat_str(parts[0], parts[1].str.zfill(2), parts[2].str.zfill(2), separator="-").str.to_date(
        "%Y-%m-%d", strict=False
    )
    return pl.when(day.dt.year().is_between(*YEARS)).then(day)


def _numbers(known: pl.DataFrame, unit: str | None) -> pl.DataFrame:
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
    return known.with_columns(value=pl.when(infinite).then(sign * float("inf")).otherwise(value + 0.0))


def _scaled(values: pl.Series, factor: int | float) -> pl.Series:
    """Floats of a typed file in the contract's unit; through their shortest decimal form, as `_numbers` does with text."""
    if isinstance(factor, float):
        return values * factor
    text = values.cast(pl.String)
    return pl.select(
        pl.when(text.str.contains("[einf]"))
        .then(values * 10.0**factor)
        .otherwise((text + f"e{factor}").cast(pl.Float64, strict=False))
    ).to_series()


def _integer(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(r"^[+-]?\d+(\.0+)?$")).then(text.str.replace(r"\.0+$", "")).cast(pl.Int32, strict=False)


def _area(text: pl.Expr, column: Column, table: str) -> pl.Expr:
    lengths = area_lengths(column, table)
    return text.str.contains(r"^\d+$") & text.str.len_bytes().is_in(lengths)


def area_lengths(column: Column, table: str) -> tuple[int, ...]:
    """Digits that an area code of this column may have. Policy values also hold for a whole province."""
    lengths = AREA_LENGTHS[column.name]
    return (PROVINCE_DIGITS, *lengths) if table == "policy" else lengths


def known_codes(column: Column, codes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Everything that is read as a code of this column: the code itself, the Chinese value, and the extract's own."""
    assert column.codes is not None
    read = {code: code for code in column.codes}
    read |= {zh: code for code, zh in column.codes.items() if zh}
    return read | dict(codes or {})


def _coded(known: pl.DataFrame, column: Column, codes: Mapping[str, str] | None) -> pl.DataFrame:
    read = known_codes(column, codes)
    values = [read.get(text) for text in known["text"]]
    return known.with_columns(pl.Series("value", values, dtype=pl.String))


def _several_coded(known: pl.DataFrame, column: Column, codes: Mapping[str, str] | None) -> pl.DataFrame:
    """Several codes joined by `;`, put into the contract's order, each once."""
    read = known_codes(column, codes)
    assert column.codes is not None
    order = list(column.codes)
    values: list[str | None] = []
    for text in known["text"]:
        parts = [part.strip() for part in str(text).split(";") if part.strip()]
        if not parts or any(part not in read for part in parts):
            values.append(None)
        else:
            values.append(";".join(sorted({read[part] for part in parts}, key=order.index)))
    return known.with_columns(pl.Series("value", values, dtype=pl.String))


def _strange_text(text: pl.Series, kind: str) -> pl.Series:
    """Cells that only a spreadsheet could have made: formula errors; for ids also exponents, `.0` and quote marks."""
    strange = text.str.contains(_EXCEL_ERROR).fill_null(False)
    if kind == "id":
        suspect = text.str.contains(r"""[.'"=]|\d[eE]\+?\d""").fill_null(False)
        if suspect.any():
            strange = strange | text.str.contains(rf"""{_EXPONENT}|^\d+\.0+$|^['"=]""").fill_null(False)
    return strange


# Complaints: what was found, in words, with the rows.


def _expected(column: Column, table: str) -> str:
    match column.kind:
        case "id":
            return "an id as text"
        case "area":
            lengths = area_lengths(column, table)
            return " or ".join(str(length) for length in lengths) + " digits of the statistical area code"
        case "date":
            return "a date like 2025-03-01, 2025/3/1, 20250301 or 2025年3月1日"
        case "money":
            return f"an amount in {column.unit}, 0 or more"
        case "number":
            return f"a number in {column.unit}, 0 or more"
        case "integer":
            return "a level of 1, 2, 3 or 4" if column.name == "level" else "a whole number, 0 or more"
        case "boolean":
            return "true or false, 1 or 0, 是 or 否"
        case "code":
            assert column.codes is not None
            return "one of " + ", ".join(f"{code} ({zh})" if zh else code for code, zh in column.codes.items())
        case "codes":
            assert column.codes is not None
            return "codes separated by `;` out of " + ", ".join(column.codes)
        case _:
            return "text"


def _refuse(values: pl.Series, refused: pl.Series, column: Column, text: pl.Series, table: str = "") -> Converted:
    complaints: list[Complaint] = []
    expected = _expected(column, table)
    if refused.len() and refused.any():
        complaints += _explain(refused, column, text, expected)
        values = pl.select(pl.when(~refused).then(values)).to_series().rename(values.name)
    if column.kind in ("money", "number", "integer"):
        out_of_range: list[tuple[str, pl.Series, str]] = []
        if column.kind != "integer":
            out_of_range.append(("infinite", values.is_infinite().fill_null(False), "an infinite amount"))
        out_of_range.append(
            ("negative", (values < 0).fill_null(False) & ~(values == float("-inf")).fill_null(False), "a negative value")
        )
        if column.name == "level":
            out_of_range.append(("out_of_range", ((values > 4) | (values == 0)).fill_null(False), "a level outside 1 to 4"))
        for check, mask, found in out_of_range:
            if mask.any():
                shown = f"{found} ({_show(text.filter(mask))})"
                complaints.append(
                    Complaint(check, mask.arg_true(), shown, expected, "Correct it at its source, or leave the row out.")
                )
                values = pl.select(pl.when(~mask).then(values)).to_series().rename(values.name)
    return Converted(values, complaints)


def _explain(refused: pl.Series, column: Column, text: pl.Series, expected: str) -> list[Complaint]:
    """One complaint for each way in which a value can be wrong."""
    left = refused
    complaints = []

    def take(mask: pl.Series, check: str, found: str, remedy: str) -> None:
        nonlocal left
        mask = mask.fill_null(False) & left
        if mask.any():
            shown = f"{found} ({_show(text.filter(mask))})"
            complaints.append(Complaint(check, mask.arg_true(), shown, expected, remedy))
            left = left & ~mask

    take(
        text.str.contains(_EXCEL_ERROR),
        "formula_error",
        "a formula error of a spreadsheet",
        "Mend the formula in the workbook and export again.",
    )
    match column.kind:
        case "id" | "area":
            take(
                text.str.contains(_EXPONENT),
                "exponent_id",
                "an id that a spreadsheet has turned into a number with an exponent; its digits are lost",
                "Set the column to text in the spreadsheet (设置单元格格式 → 文本) before the ids are pasted, and export again.",
            )
            take(
                text.str.contains(r"^\d+\.0+$"),
                "id_as_number",
                "an id that was turned into a decimal number; leading zeros may be lost",
                "Export the column as text at its source.",
            )
            take(
                text.str.contains(r"""^['"=]"""),
                "quoted_id",
                "an id with a quote mark or formula sign in front",
                "Export the plain text of the id.",
            )
            take(
                refused,
                "bad_area",
                "not an area code of this level",
                "Give the statistical code of this level, as text, without padding.",
            )
        case "date":
            take(
                text.str.contains(r"^\d{5}(\.\d+)?$"),
                "unknown_date",
                "a spreadsheet's day number instead of a date",
                "Format the column as a date in the workbook, or export it as 2025-03-01.",
            )
            take(refused, "unknown_date", "a date in no known form, or a day that does not exist", "Write it as 2025-03-01.")
        case "money" | "number" | "integer":
            take(
                text.str.contains(_EXPONENT),
                "exponent_number",
                "a number with an exponent; a spreadsheet has shortened it",
                "Format the column as a plain number and export again.",
            )
            take(
                text.str.contains(r"^[+-]?[\d,.]+\s*(元|万元|万|千元|亩|公里|天|%)$"),
                "unit_in_cell",
                "a number with its unit in the cell",
                "Leave the unit out; if the whole column is in another unit, name it in tables.yaml (`{from: …, unit: 万元}`).",
            )
            take(refused, "not_a_number", "not a number", "Correct it; leave the cell empty where nothing is known.")
        case "boolean":
            take(
                refused,
                "not_true_or_false",
                "neither true nor false",
                "Correct it, or map the value in tables.yaml under `codes`.",
            )
        case _:
            near = _nearest(text.filter(refused), column)
            hint = f" Did you mean `{near}`?" if near else ""
            take(refused, "unknown_code", "an unknown code", f"Correct it, or map it in tables.yaml under `codes`.{hint}")
    return complaints


def _nearest(values: pl.Series, column: Column) -> str | None:
    if column.codes is None or not len(values):
        return None
    names = list(known_codes(column))
    near = difflib.get_close_matches(str(values.drop_nulls()[0]).lower(), names, n=1, cutoff=0.6)
    return near[0] if near else None


def _show(values: pl.Series) -> str:
    """Up to three different values, so that a person recognises them. Long digits are masked: they may be somebody's number."""
    some = values.drop_nulls().unique(maintain_order=True)
    if looks_like_names(some):
        return "values that look like names, withheld"
    shown = [mask_identity(str(value)) for value in some.head(SHOWN_VALUES)]
    return ", ".join(f"`{value}`" for value in shown) + (", …" if len(some) > SHOWN_VALUES else "")


def mask_identity(text: str) -> str:
    """Text with every run of 11 or more digits hidden but for its first three, and cut to 40 characters."""
    hidden = re.sub(r"\d{11,}[0-9Xx]?", lambda found: found.group()[:3] + "…", text)
    return hidden if len(hidden) <= 40 else hidden[:39] + "…"
