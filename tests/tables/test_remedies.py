"""What the messages advise is followed here word by word, and then the table is read."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, propose_mapping, read_tables, tables_of

PHONE = "13800138000"


@pytest.fixture
def folder(tmp_path, records, as_csv):
    """Only what these tests need: a small county with leads, income, employment and verifications."""
    kept = ("households", "members", "leads", "income", "employment", "verifications")
    return as_csv(tmp_path / "csv", {name: records[name] for name in kept})


def cells(folder, table, column, *values):
    """Replace the first cells of one column of a CSV; no values: the whole column by the first."""
    path = folder / f"{table}.csv"
    frame = pl.read_csv(path, infer_schema=False)
    column_now = frame[column].to_list() if column in frame.columns else [""] * frame.height
    frame.with_columns(pl.Series(column, [*values, *column_now[len(values) :]], dtype=pl.String)).write_csv(
        path
    )


def errors(folder):
    return check_tables(folder).errors


def only(folder, check):
    found = [finding for finding in errors(folder) if finding.check == check]
    assert len(found) == 1, check_tables(folder).text()
    return found[0]


def mapping(folder, text):
    (folder / "tables.yaml").write_text(text, encoding="utf-8")


def first(folder, table, column):
    return (
        read_tables(folder)[table]
        .sort("event_id" if table != "members" else "member_id")[column]
        .to_list()[0]
    )


# Dates


@pytest.mark.parametrize(
    "cell",
    [
        "2023/1/5 0:00",
        "2023/1/5 0:00:00",
        "2023/01/05 00:00",
        "2023年01月05日 00:00:00",
        "2023年1月5日 0:00",
        "2023-1-5",
        "2023-01-05T00:00:00.000",
        "20230105 00:00:00",
        "2023/1/5 上午 12:00:00",
        "2023/1/5 12:00:00 AM",
        "20230105.0",
        "２０２３／１／５",
    ],
)
def test_midnight_is_no_time_of_day_in_whatever_form_a_spreadsheet_writes_it(folder, cell):
    cells(folder, "income", "occurred_on", cell)
    assert check_tables(folder).ok
    assert first(folder, "income", "occurred_on") == dt.date(2023, 1, 5)


@pytest.mark.parametrize(
    "cell", ["2023/1/5 12:00", "2023-01-05 00:01:00", "2023/1/5 下午 12:00", "2023-01-05 8:30"]
)
def test_another_time_of_day_is_refused_as_such(folder, cell):
    cells(folder, "income", "occurred_on", cell)
    finding = only(folder, "unknown_date")
    assert "time of day" in finding.found
    cells(folder, "income", "occurred_on", finding.remedy[-11:-1].replace("2025-03-01", "2023-01-05"))
    assert check_tables(folder).ok


@pytest.mark.parametrize("cell", ["9999-12-31", "2999/12/31", "1753-01-01", "99991231"])
def test_an_open_end_goes_under_missing_as_it_is_shown(folder, cell):
    cells(folder, "members", "left_on", cell)
    finding = only(folder, "unknown_date")
    assert "outside the years 1880 to 2100" in finding.found and f'`missing: ["{cell}"]`' in finding.remedy
    mapping(folder, f'members:\n  missing: ["{cell}"]\n')
    assert check_tables(folder).ok
    assert read_tables(folder)["members"]["left_on"].is_not_null().sum() == 1


@pytest.mark.parametrize("cell", ["0000-00-00", "0000-00-00 00:00:00", "0000/0/0", "00000000"])
def test_the_sign_of_a_database_for_no_date_goes_under_missing_with_or_without_quotes(folder, cell):
    cells(folder, "members", "left_on", cell)
    assert f'`missing: ["{cell}"]`' in only(folder, "unknown_date").remedy
    for text in (f'missing: ["{cell}"]', f"missing: [{cell}]"):
        mapping(folder, f"members:\n  {text}\n")
        assert check_tables(folder).ok


@pytest.mark.parametrize("cell", ["202301", "2023-01", "2023/1", "2023年1月"])
def test_a_month_is_its_last_day_for_employment_and_needs_one_elsewhere(folder, cell):
    cells(folder, "employment", "occurred_on", cell)
    assert first(folder, "employment", "occurred_on") == dt.date(2023, 1, 31)
    cells(folder, "income", "occurred_on", cell)
    finding = only(folder, "unknown_date")
    assert "a month without a day" in finding.found and "`occurred_on: {day: last}`" in finding.remedy
    mapping(folder, "income:\n  columns:\n    occurred_on: {day: first}\n")
    assert first(folder, "income", "occurred_on") == dt.date(2023, 1, 1)


def test_a_day_that_is_neither_first_nor_last_is_refused_with_its_line(folder):
    mapping(folder, "income:\n  columns:\n    occurred_on: {day: 15}\n    amount: {day: last}\n")
    with pytest.raises(DataError) as refused:
        check_tables(folder)
    assert "tables.yaml:3" in str(refused.value) and "tables.yaml:4" in str(refused.value)


# Ids, names, marks


@pytest.mark.parametrize(
    "good", ["6517185e3949", "6517185E3949", "1e5", "H-1", "H_1", "a.b:c", "0007", "x" * 64, "00e12345"]
)
def test_a_pseudonym_is_an_id_in_files_and_in_records(records, folder, good):
    cells(folder, "income", "event_id", good)
    assert check_tables(folder).ok
    records["income"][0]["event_id"] = good
    assert good in tables_of(records)["income"]["event_id"].to_list()


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        ("3.30102E+17", "exponent_id"),
        ("3.30102e17", "exponent_id"),
        ("3E+17", "exponent_id"),
        ("12.0", "id_as_number"),
        ('="007"', "quoted_id"),
        ("H 1", "bad_id"),
        ("H/1", "bad_id"),
        ("..", "bad_id"),
        ("--", "bad_id"),
        ("户1", "bad_id"),
        ("H\u202c1", "bad_id"),
        ("x" * 65, "bad_id"),
        ("H1?", "bad_id"),
        ("#1", "bad_id"),
    ],
)
def test_what_is_no_id_is_refused_in_files_and_in_records(records, folder, bad, check):
    cells(folder, "income", "event_id", bad)
    finding = only(folder, check)
    assert finding.rows == (2,) and "1 to 64 letters, digits and _ - . :" in finding.expected
    records["income"][0]["event_id"] = bad
    with pytest.raises(DataError, match="event_id"):
        tables_of(records)


def test_an_invisible_mark_inside_a_value_is_named(folder):
    cells(folder, "income", "event_id", "IN\u202c1")
    assert "`IN<U+202C>1`" in only(folder, "bad_id").found
    cells(folder, "income", "event_id", "IN1")
    cells(folder, "income", "amount", "13\u200b16")
    assert "`13<U+200B>16`" in only(folder, "not_a_number").found


@pytest.mark.parametrize(
    "mark",
    [
        "\u200e",
        "\u200f",
        "\u202a",
        "\u202c",
        "\u202e",
        "\u2066",
        "\u2069",
        "\u00ad",
        "\ufeff",
        "\u200b",
        "\u00a0",
    ],
)
def test_invisible_marks_at_the_ends_are_removed_everywhere(folder, mark):
    cells(folder, "income", "amount", f"{mark}1316.5{mark}")
    cells(folder, "income", "household_id", f"000000{mark}")
    cells(folder, "income", "occurred_on", f"{mark}2023-01-05")
    cells(folder, "income", "source", f"工资性{mark}")
    path = folder / "income.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("amount", f"amount{mark}", 1), encoding="utf-8")
    assert check_tables(folder).ok, check_tables(folder).text()
    assert first(folder, "income", "amount") == 1316.5


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("leads", "topic"),
        ("households", "relocation_site"),
        ("income", "remark"),
        ("income", "村干部"),
        ("income", "event_id"),
    ],
)
@pytest.mark.parametrize("different", [1, 2, 3])
def test_names_that_repeat_are_refused_wherever_they_are(folder, table, column, different):
    height = pl.read_csv(folder / f"{table}.csv", infer_schema=False).height
    names = ["王小明", "李志强", "张建国"][:different]
    cells(folder, table, column, *(names * height)[: max(height, 1)])
    found = {finding.check for finding in errors(folder)}
    if height < 6 and different < 3:
        return  # a handful of rows of one or two words may be anything
    assert "person_names" in found, check_tables(folder).text()
    assert not any(name in check_tables(folder).text() for name in names)


def test_names_in_a_category_of_parquet_are_refused_too(clean_folder):
    path = clean_folder / "income.parquet"
    frame = pl.read_parquet(path)
    names = pl.Series("keeper", (["王小明", "李志强"] * frame.height)[: frame.height])
    frame.with_columns(names.cast(pl.Categorical)).write_parquet(path)
    assert "person_names" in {finding.check for finding in errors(clean_folder)}


@pytest.mark.parametrize(
    "words",
    [
        ["高中", "初中"],
        ["高血压"],
        ["苗族", "白族", "汉族"],
        ["马铃薯", "金银花", "黄牛"],
        ["安置房", "单身户"],
        ["王家村", "李家寨"],
        ["白内障", "高血脂", "关节炎"],
    ],
)
def test_ordinary_words_that_begin_like_a_family_name_are_no_names(folder, words):
    height = pl.read_csv(folder / "income.csv", infer_schema=False).height
    cells(folder, "income", "remark", *(words * height)[:height])
    assert check_tables(folder).ok, check_tables(folder).text()


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("行政村", ["高山", "白岩", "石门"]),
        ("remark", ["李子冲", "石门坎", "马场"]),
        ("主要产业", ["黄花", "金丝皇菊", "石斛"]),
    ],
)
def test_places_and_things_that_are_called_like_persons_are_no_names(folder, heading, words):
    height = pl.read_csv(folder / "income.csv", infer_schema=False).height
    cells(folder, "income", heading, *(words * height)[:height])
    assert check_tables(folder).ok, check_tables(folder).text()


def test_names_are_refused_under_the_heading_of_a_place_too_where_they_hardly_repeat(folder):
    height = pl.read_csv(folder / "leads.csv", infer_schema=False).height
    cells(folder, "leads", "村干部", *["王小明", "李志强", "张建国", "陈静"][:height])
    assert "person_names" in {finding.check for finding in errors(folder)}


def test_phone_numbers_in_a_column_of_floats_are_refused(clean_folder):
    path = clean_folder / "income.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(contact=pl.lit(float(PHONE))).write_parquet(path)
    assert "phone_number" in {finding.check for finding in errors(clean_folder)}


# tables.yaml


@pytest.mark.parametrize(
    ("codes", "theirs"),
    [
        ("{01: male, 02: female}", ("01", "02")),
        ("{1: male, 2: female}", ("1", "2")),
        ("{Yes: male, No: female}", ("Yes", "No")),
        ("{M: male, F: female}", ("M", "F")),
        ("{男性: male, 女性: female}", ("男性", "女性")),
        ("{0x1: male, 1_0: female}", ("0x1", "1_0")),
        ("{12:30: male, 1e3: female}", ("12:30", "1e3")),
        ("{on: male, off: female}", ("on", "off")),
        ("{2024-01-01: male, ~: female}", ("2024-01-01", "~")),
        ('{"01": male, "02": female}', ("01", "02")),
    ],
)
def test_codes_are_taken_as_they_are_written(folder, codes, theirs):
    frame = pl.read_csv(folder / "members.csv", infer_schema=False)
    expected = frame["sex"].to_list()
    cells(folder, "members", "sex", *[theirs[sex == "female"] for sex in expected])
    assert "under `codes`" in only(folder, "unknown_code").remedy
    mapping(folder, f"members:\n  codes:\n    sex: {codes}\n")
    assert check_tables(folder).ok, check_tables(folder).text()
    assert read_tables(folder)["members"].sort("member_id")["sex"].cast(pl.String).to_list() == expected


def test_flags_are_taken_as_they_are_written(folder):
    frame = pl.read_csv(folder / "members.csv", infer_schema=False)
    cells(folder, "members", "dibao", *["No"] * frame.height)
    for text in ("{Yes: true, No: false}", "{yes: 'true', No: 'false'}", "{Y: True, No: False}"):
        mapping(folder, f"members:\n  codes:\n    dibao: {text}\n")
        assert check_tables(folder).ok
    assert not read_tables(folder)["members"]["dibao"].any()


@pytest.mark.parametrize("sign", ["NULL", "null", "~", "N/A", "-", "/", "0", "No", "无"])
def test_signs_for_nothing_are_taken_as_they_are_written(folder, sign):
    cells(folder, "members", "left_on", sign)
    mapping(folder, f"members:\n  missing: [{sign!r}]\n")
    assert check_tables(folder).ok
    if sign not in ("-",):  # a bare hyphen begins a list
        mapping(folder, f"members:\n  missing: [{sign}]\n")
        assert check_tables(folder).ok


# Headings


TITLES = ["某县收入台账,,,,,,\n", "填报单位：某县,,,,,,填报日期：2025-12-31\n"]


def test_two_title_rows_do_not_hide_the_header(folder):
    path = folder / "income.csv"
    path.write_text("".join(TITLES) + path.read_text())
    report = check_tables(folder)
    assert report.ok, report.text()
    assert "CSV, UTF-8, header in row 3" in report.text()
    cells_at = path.read_text().splitlines()
    cells_at[3] = cells_at[3].rsplit(",", 1)[0] + ",-5"
    path.write_text("\n".join(cells_at) + "\n")
    assert only(folder, "negative").rows == (4,)


def test_headings_that_nobody_knows_are_found_by_the_row_that_tables_yaml_names(folder):
    path = folder / "income.csv"
    lines = path.read_text().splitlines()
    heading = [f"列{number}" for number in range(len(lines[0].split(",")))]
    path.write_text("".join(TITLES) + "\n".join([",".join(heading), *lines[1:]]) + "\n")
    finding = next(finding for finding in errors(folder) if finding.check == "missing_column")
    assert "The headings were taken from row 2" in finding.remedy and "`header: …`" in finding.remedy
    columns = ", ".join(
        f"{theirs}: {ours}" for theirs, ours in zip(heading, lines[0].split(","), strict=True)
    )
    for header in ("header: 3", "ignore: []"):  # with the mapping, the row is found as well
        mapping(folder, f"income:\n  {header}\n  columns: {{{columns}}}\n")
        assert check_tables(folder).ok, check_tables(folder).text()


@pytest.mark.parametrize("header", ["0", "x", "-1", "1.5", "51"])
def test_a_header_that_is_no_row_is_refused_with_its_line(folder, header):
    mapping(folder, f"income:\n  header: {header}\n")
    with pytest.raises(DataError, match=r"tables.yaml:2 .*1 to 50"):
        check_tables(folder)


@pytest.mark.parametrize("heading", ['"amount\n(元)"', '"amount\r\n(元)"', '" amount (元) "'])
def test_a_heading_over_two_lines_is_one_heading(folder, heading):
    path = folder / "income.csv"
    path.write_bytes(path.read_bytes().replace(b"amount", heading.encode(), 1))
    for text in ('"amount\\n(元)": amount', "amount (元): amount"):
        mapping(folder, f"income:\n  columns:\n    {text}\n")
        report = check_tables(folder)
        assert report.ok, report.text()
    assert next(one for one in report.tables if one.table == "income").read == 318


def test_a_chinese_heading_over_two_lines_needs_no_mapping(folder):
    path = folder / "income.csv"
    path.write_text(path.read_text().replace("occurred_on", '"发生\n日期"', 1))
    assert check_tables(folder).ok


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends_of_every_system_are_read_and_mapped(folder, end):
    path = folder / "income.csv"
    expected = read_tables(folder)["income"]
    path.write_bytes(path.read_text().replace("\n", end).encode())
    assert read_tables(folder)["income"].equals(expected)
    assert "income:" in propose_mapping(path)


# Several risks


@pytest.mark.parametrize(
    "cell",
    [
        "因病、因残",
        "因病;因残",
        "因病；因残",
        "因残,因病",
        "因病，因残",
        "因病 因残",
        "因病/因残",
        "illness|disability",
        "因病\n因残",
    ],
)
def test_several_risks_in_one_cell_are_read(folder, cell):
    cells(folder, "verifications", "risk_kinds", cell)
    assert check_tables(folder).ok, check_tables(folder).text()
    assert first(folder, "verifications", "risk_kinds") == "illness;disability"


def test_several_columns_of_risks_are_put_together(folder):
    path = folder / "verifications.csv"
    frame = pl.read_csv(path, infer_schema=False).drop("risk_kinds")
    frame = frame.with_columns(主要风险1=pl.lit("因残"), 主要风险2=pl.lit("因病"), 主要风险3=pl.lit(""))
    frame.write_csv(path)
    proposal = propose_mapping(path)
    assert all(f"主要风险{number}: risk_kinds" in proposal for number in (1, 2, 3)), proposal
    for text in (
        proposal,
        "verifications:\n  columns:\n    risk_kinds: {from: [主要风险1, 主要风险2, 主要风险3]}\n",
    ):
        mapping(folder, text)
        assert check_tables(folder).ok, check_tables(folder).text()
        assert first(folder, "verifications", "risk_kinds") == "illness;disability"


def test_a_column_of_flags_for_each_risk_is_put_together(folder):
    path = folder / "verifications.csv"
    frame = pl.read_csv(path, infer_schema=False).drop("risk_kinds")
    frame.with_columns(因病=pl.lit("是"), 因残=pl.lit("否"), 因学=pl.lit("1")).write_csv(path)
    mapping(folder, "verifications:\n  columns: {因病: risk_kinds, 因残: risk_kinds, 因学: risk_kinds}\n")
    assert check_tables(folder).ok, check_tables(folder).text()
    assert first(folder, "verifications", "risk_kinds") == "illness;education"


def test_two_columns_for_one_amount_are_still_refused(folder):
    mapping(folder, "income:\n  columns: {甲: amount, 乙: amount}\n")
    with pytest.raises(DataError, match="made from both"):
        check_tables(folder)


# Encodings


def test_a_gb18030_file_with_rare_characters_is_read_when_the_encoding_is_named_as_advised(folder):
    path = folder / "leads.csv"
    path.write_bytes(path.read_text(encoding="utf-8").replace("医疗支出较大", "犇猋骉").encode("gb18030"))
    finding = only(folder, "wrong_encoding")
    assert "`encoding: gb18030`" in finding.remedy
    mapping(folder, "leads:\n  encoding: gb18030\n")
    assert first(folder, "leads", "topic") == "犇猋骉"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("income: {codes: {source: wage}}", ["`wage`", "`{theirs: ours, …}`"]),
        ("income: {missing: [[a]]}", ["a list"]),
        ("income: {may_be_empty: maybe}", ["`maybe`", "true or false"]),
        ("income: &a {columns: *a}", ["tables.yaml:1", "contain themselves"]),
        ("income:\n  columns:\n    amount: {from: 金额}\n  # \x07", ["tables.yaml", "valid YAML"]),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_in_a_sentence(folder, text, words):
    mapping(folder, text)
    with pytest.raises(DataError) as refused:
        check_tables(folder)
    for word in words:
        assert word in str(refused.value)


def test_a_note_below_the_table_is_named_and_the_table_is_read_without_it(folder):
    path = folder / "leads.csv"
    text = path.read_text()
    path.write_text(text + "填表说明\n")
    assert "delete the note" in only(folder, "truncated_file").remedy
    path.write_text(text)
    assert check_tables(folder).ok
