"""Rows read are rows used, refused by name, duplicate or empty: in every form of file, and whatever was done
to the file.
"""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, read_tables
from riskmodel.tables.checks import check_rows, typed_sheet
from riskmodel.tables.csv_files import shape_of
from riskmodel.tables.mapping import TableMapping
from riskmodel.tables.parquet_files import rows_in
from riskmodel.tables.sources import read_source

HEADER = "event_id,household_id,occurred_on,known_on,channel,topic"
ROWS = [
    f"L{number:02d},H{number % 4},2024-01-{number + 1:02d},2024-02-01,cadre,topic {number}"
    for number in range(12)
]


def summary(report, table):
    return next(one for one in report.tables if one.table == table)


def five(one):
    return one.read, one.used, one.refused, one.duplicates, one.empty


# What people and programs do to a CSV. Each takes the lines (the header is the first) and where to do it.


def stray_quote(lines, row, cell):
    cells = lines[row].split(",")
    cells[cell % len(cells)] = '"' + cells[cell % len(cells)]
    lines[row] = ",".join(cells)


def quote_inside(lines, row, cell):
    cells = lines[row].split(",")
    place = cell % len(cells)
    cells[place] = cells[place][:2] + '"' + cells[place][2:]
    lines[row] = ",".join(cells)


def quote_alone(lines, row, cell):
    cells = lines[row].split(",")
    cells[cell % len(cells)] = '"'
    lines[row] = ",".join(cells)


def comma_inside(lines, row, cell):
    lines[row] += ", and more"


def short_row(lines, row, cell):
    lines[row] = ",".join(lines[row].split(",")[: 1 + cell])


def heading_again(lines, row, cell):
    lines.insert(row, HEADER)


def blank_line(lines, row, cell):
    lines.insert(row, ("", "   ", ",,,,,", "\t,,")[cell % 4])


def cut(lines, row, cell):
    lines[-1] = lines[-1][: 3 + 7 * cell]


DEEDS = (stray_quote, quote_inside, quote_alone, comma_inside, short_row, heading_again, blank_line, cut)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


@settings(max_examples=250, deadline=None)
@given(
    deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(1, 11), st.integers(0, 5)), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    last=st.booleans(),
    encoding=st.sampled_from(["utf-8", "gb18030"]),
)
def test_no_row_of_a_mutated_file_vanishes(place, deeds, end, last, encoding):
    lines = [HEADER, *ROWS]
    for deed, row, cell in deeds:
        deed(lines, row, cell)
    path = place / "leads.csv"
    path.write_bytes((end.join(lines) + (end if last else "")).encode(encoding))
    source = read_source(place, "leads", [path], TableMapping())
    errors = [trouble for trouble in source.troubles if trouble.level == "error"]
    if source.frame is None:
        assert errors and all(trouble.found and trouble.remedy for trouble in errors)
        return
    # One line, one row: a row that is joined with another one is a lost row. Lines without anything are empty
    # rows.
    assert source.read - source.empty == sum(bool(line.strip(' ,\t"')) for line in lines[1:])
    assert source.height + source.empty + source.unreadable == source.read
    # Every row that was written down is there: used, or one of those that are named as refused.
    sheet = typed_sheet(source, TableMapping())
    check_rows(sheet)
    assert source.unreadable == sum(trouble.count for trouble in errors)
    there = set(sheet.frame["event_id"].to_list())
    written = [line.split(",")[0].strip('"') for line in lines[1:] if line.strip(' ,\t"')]
    assert sum(event not in there for event in written) <= sheet.refused_rows().len() + source.unreadable


def test_unescaped_quotes_at_the_beginning_of_cells_are_refused_with_their_line(tmp_path, records, as_csv):
    """Two of them made every reader take the lines between for one cell; rows were gone without a word, in a
    column nobody uses.
    """
    folder = as_csv(tmp_path / "csv", records)
    path = folder / "income.csv"
    lines = [line + ",note" for line in path.read_text().splitlines()]
    lines[0] = lines[0].replace(",note", ",remark")
    lines[9] = lines[9].removesuffix("note") + '"paid" by hand'
    lines[49] = lines[49].removesuffix("note") + '"again, and'
    lines[80] = lines[80].removesuffix("note") + 'at once"'
    path.write_text("\n".join(lines) + "\n")
    finding = next(finding for finding in check_tables(folder).errors)
    assert finding.check == "stray_quote" and "income.csv:10" in finding.found and "doubled" in finding.remedy
    assert five(summary(check_tables(folder), "income")) == (318, 0, 318, 0, 0)
    # The remedy: quote marks doubled inside text.
    for place in (9, 49, 80):
        first, _, text = (
            lines[place].rpartition(",")
            if place != 49
            else (lines[49][: lines[49].index(',"again')], "", '"again, and')
        )
        lines[place] = first + ',"' + text.replace('"', '""') + '"'
    path.write_text("\n".join(lines) + "\n")
    report = check_tables(folder)
    assert report.ok and summary(report, "income").used == 318


def test_a_cell_that_swallows_whole_rows_is_refused_though_the_cells_fit(tmp_path, records, as_csv):
    """A quote mark opens in one row and one closes in a later row at the same place: every row has the right
    number of cells.
    """
    folder = as_csv(tmp_path / "csv", {name: records[name] for name in ("households", "members", "leads")})
    path = folder / "leads.csv"
    lines = path.read_text().splitlines()
    assert len(lines) == 5
    lines[2] = lines[2].replace(",cadre", ',"cadre')
    lines[4] = lines[4].replace(",cadre", ',cadre"')
    path.write_text("\n".join(lines) + "\n")
    finding = next(finding for finding in check_tables(folder).errors)
    assert finding.check == "stray_quote" and "line 3" in finding.found and "line 4" in finding.found
    assert "row of its own" in finding.found and ".xlsx" in finding.remedy


def test_a_cell_that_holds_lines_of_text_is_read_whole(tmp_path, records, as_csv):
    folder = as_csv(tmp_path / "csv", {name: records[name] for name in ("households", "members", "leads")})
    path = folder / "leads.csv"
    text = 'first line, "so to say"\nsecond, and last\r\nthird'
    frame = pl.read_csv(path, infer_schema=False).with_columns(topic=pl.lit(text))
    frame.write_csv(path)
    assert read_tables(folder)["leads"]["topic"].unique().to_list() == [text]
    assert summary(check_tables(folder), "leads").read == 4


@pytest.mark.parametrize(
    "form", ["csv", "csv.gz", "gb18030", "cr", "parquet", "text parquet", "partitions", "xlsx"]
)
def test_the_five_figures_are_the_same_in_every_form(tmp_path, records, as_csv, form):
    """318 rows of income: 3 are duplicates, 2 are refused, and 2 empty ones stand between them."""
    folder = as_csv(tmp_path / "csv", records)
    path = folder / "income.csv"
    frame = pl.read_csv(path, infer_schema=False)
    amounts = frame["amount"].to_list()
    amounts[10], amounts[20] = "-1", "x"
    frame = frame.with_columns(pl.Series("amount", amounts))
    empty = pl.DataFrame({name: [None, None] for name in frame.columns}, schema=frame.schema)
    frame = pl.concat([frame.head(30), empty, frame.tail(-30), frame.slice(40, 3)])
    path.unlink()
    if form in ("csv", "gb18030", "cr", "csv.gz"):
        data = frame.write_csv().encode("gb18030" if form == "gb18030" else "utf-8")
        data = data.replace(b"\n", b"\r") if form == "cr" else data
        (folder / ("income.csv.gz" if form == "csv.gz" else "income.csv")).write_bytes(
            gzip.compress(data) if form == "csv.gz" else data
        )
    elif form == "xlsx":
        import openpyxl

        workbook = openpyxl.Workbook()
        for row in [frame.columns, *frame.rows()]:
            workbook.active.append(row)
        workbook.save(folder / "income.xlsx")
    elif form == "partitions":
        (folder / "income").mkdir()
        frame.head(100).write_parquet(folder / "income" / "a.parquet")
        frame.tail(-100).write_parquet(folder / "income" / "b.parquet")
    else:
        if form == "parquet":  # the refused amounts as numbers
            cells = pl.col("amount").replace({"x": "inf"}).cast(pl.Float64)
            frame = frame.with_columns(cells, pl.col("occurred_on", "known_on").str.to_date())
        frame.write_parquet(folder / "income.parquet")
    report = check_tables(folder)
    assert five(summary(report, "income")) == (323, 316, 2, 3, 2)
    assert "323 rows: 316 used, 2 refused, 3 duplicate, 2 empty" in report.text()
    income = next(table for table in json.loads(report.json())["tables"] if table["table"] == "income")
    assert (
        income["read"] == income["used"] + income["refused"] + income["duplicates"] + income["empty"] == 323
    )
    rows = sorted(row for finding in report.errors for row in finding.rows)
    first = {"parquet": 1, "text parquet": 1, "partitions": 1}.get(form, 2)
    assert rows == [10 + first, 20 + first]  # row numbers are those of the file


def test_a_table_that_is_refused_as_a_whole_uses_no_row(tmp_path, records, as_csv):
    folder = as_csv(tmp_path / "csv", records)
    pl.read_csv(folder / "medical.csv", infer_schema=False).drop("self_paid").write_csv(
        folder / "medical.csv"
    )
    one = summary(check_tables(folder), "medical")
    assert five(one) == (24, 0, 24, 0, 0)


def test_a_reader_that_loses_rows_is_found_out(tmp_path, records, as_csv, monkeypatch):
    """The count is made apart from reading: whatever a library does, fewer rows than the file has are an
    error.
    """
    from riskmodel.tables import csv_files

    folder = as_csv(tmp_path / "csv", records)
    honest = csv_files._parsed

    def forgetful(*arguments):
        source = honest(*arguments)
        source.frame, source.parts[0].height = source.frame.head(-1), source.parts[0].height - 1
        return source

    monkeypatch.setattr(csv_files, "_parsed", forgetful)
    with pytest.raises(DataError, match=r"318 rows in the file, of which 317 could be read"):
        read_tables(folder)


@pytest.mark.parametrize(
    ("data", "rows", "fault"),
    [
        (b"a,b\n1,2\n", 2, None),
        (b"a,b\r1,2\r", 2, None),
        (b"a,b\r\n1,2", 2, None),
        (b'a,b\n"x\ny",2\n', 2, None),
        (b'a,b\n"x ""y"" z",""\n', 2, None),
        (b'a,b\n5" pipe,2\n', 2, None),
        (b'a,b\n"x"y,2\n', 1, "stray_quote"),
        (b'a,b\n1,2\n"x,2\n', 2, "truncated_file"),
        (b'a,b\n1,"\n2,"\n', 2, None),
    ],
)
def test_rows_are_counted_from_line_ends_outside_of_quotes(data, rows, fault):
    shape = shape_of(data)
    assert (shape.rows == rows or fault) and bool(shape.fault) == bool(fault)
    if fault:
        assert fault == shape.fault[1]


@pytest.mark.parametrize("writer", ["polars", "pyarrow", "pandas"])
@pytest.mark.parametrize("rows", [0, 1, 63, 200_000])
def test_rows_of_a_parquet_file_are_counted_from_its_footer(tmp_path, writer, rows):
    import pyarrow as pa
    import pyarrow.parquet

    columns = {"a": list(range(rows)), "b": ["x"] * rows, "c": [[1.5]] * rows, "d": [True] * rows}
    path = tmp_path / "a.parquet"
    if writer == "polars":
        pl.DataFrame(
            columns, schema={"a": pl.Int64, "b": pl.String, "c": pl.List(pl.Float64), "d": pl.Boolean}
        ).write_parquet(path, row_group_size=50_000)
    elif writer == "pyarrow":
        metadata = {"key": "value" * 100}
        table = pa.table(columns).replace_schema_metadata(metadata)
        pyarrow.parquet.write_table(table, path, row_group_size=10_000, write_page_index=True)
    else:
        import pandas

        pandas.DataFrame(columns).to_parquet(path)
    assert rows_in(path) == rows == pyarrow.parquet.read_metadata(path).num_rows


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"x" * 100,
        b"PAR1" + b"\x00" * 8 + b"\xff\xff\x00\x00PAR1",
        b"PAR1\x15\x04\x02\x00\x00\x00PAR1",
    ],
)
def test_a_file_without_a_footer_has_no_number_of_rows(tmp_path, data):
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(ValueError, match="footer"):
        rows_in(tmp_path / "a.parquet")
