"""Every fault has its message: where, what was found, what was expected, what to do."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, read_tables, tables_of

VALID_ID = "11010519491231002X"  # the specimen of GB 11643; nobody's number
PHONE = "13800138000"


def change_text(folder, table, column, row, value):
    """Put a text into one cell of a CSV (row 0 is the first after the header)."""
    path = folder / f"{table}.csv"
    frame = pl.read_csv(path, infer_schema=False)
    values = frame[column].to_list()
    values[row] = value
    frame.with_columns(pl.Series(column, values, dtype=pl.String)).write_csv(path)


@pytest.fixture
def folder(tmp_path, records, as_csv):
    return as_csv(tmp_path / "csv", records)


def only(report, check):
    found = [finding for finding in report.findings if finding.check == check]
    assert len(found) == 1, report.text()
    return found[0]


CELLS = [
    # table, column, what stands there, check, words of `found`, words of the remedy
    ("income", "source", "wagee", "unknown_code", "`wagee`", "Did you mean `wage`"),
    ("members", "sex", "女性", "unknown_code", "`女性`", "under `codes`"),
    (
        "verifications",
        "risk_kinds",
        "illness-disability",
        "unknown_code",
        "`illness-disability`",
        "under `codes`",
    ),
    ("income", "amount", "", "missing_value", "an empty cell", "Fill it in"),
    ("households", "category", "", "missing_value", "an empty cell", "Fill it in"),
    ("income", "amount", "-5", "negative", "a negative value (`-5`)", "Correct it"),
    ("households", "distance_km", "-1.5", "negative", "a negative value", "Correct it"),
    ("medical", "hospital_days", "-2", "negative", "a negative value", "Correct it"),
    ("income", "amount", "inf", "infinite", "an infinite amount (`inf`)", "Correct it"),
    ("income", "amount", "nan", "not_a_number", "`nan`", "leave the cell empty"),
    ("income", "amount", "NA", "not_a_number", "`NA`", "leave the cell empty"),
    ("income", "amount", "1.2万元", "unit_in_cell", "with its unit", "unit: 万元"),
    ("income", "amount", "1,20", "not_a_number", "not a number", "Correct it"),
    ("income", "amount", "1.2E+05", "exponent_number", "exponent", "plain number"),
    ("medical", "hospital_days", "2.5", "not_a_number", "not a number", "Correct it"),
    ("disability", "level", "5", "out_of_range", "outside 1 to 4", "Correct it"),
    ("income", "occurred_on", "01/03/2023", "unknown_date", "`01/03/2023`", "2025-03-01"),
    ("income", "occurred_on", "2023.3.1", "unknown_date", "`2023.3.1`", "2025-03-01"),
    ("income", "occurred_on", "2023-02-30", "unknown_date", "does not exist", "2025-03-01"),
    (
        "income",
        "occurred_on",
        "2023年3月",
        "unknown_date",
        "a month without a day",
        "occurred_on: {day: last}",
    ),
    ("income", "occurred_on", "2023-03-01 13:45:00", "unknown_date", "no known form", "2025-03-01"),
    ("income", "occurred_on", "44986", "unknown_date", "day number", "Format the column as a date"),
    ("households", "relocated", "有", "not_true_or_false", "neither true nor false", "under `codes`"),
    ("households", "village_code", "522301001", "bad_area", "not an area code", "without padding"),
    ("households", "household_id", "3.30102E+17", "exponent_id", "its digits are lost", "设置单元格格式"),
    ("households", "county_code", "5.22E+05", "exponent_id", "its digits are lost", "设置单元格格式"),
    ("income", "household_id", "12.0", "id_as_number", "leading zeros", "as text"),
    ("income", "household_id", "#N/A", "formula_error", "formula error", "Mend the formula"),
    ("income", "household_id", '="000001"', "quoted_id", "quote mark", "plain text"),
    (
        "members",
        "birth_date",
        "2024-05-05",
        "birth_in_future",
        "a birth after the day it was known",
        "Correct birth_date",
    ),
    (
        "income",
        "known_on",
        "2020-01-01",
        "known_before_occurred",
        "known before it occurred",
        "correct the date",
    ),
    (
        "members",
        "household_id",
        "X1",
        "orphan",
        "ids that households does not have",
        "Deliver the row of households",
    ),
    ("income", "household_id", "1", "orphan", "ids that households does not have", "a lost leading zero?"),
    ("medical", "member_id", "X1", "orphan", "ids that members does not have", "Deliver the row of members"),
    (
        "households",
        "township_code",
        "522302001",
        "areas_not_nested",
        "is not in its county",
        "Correct the code",
    ),
    (
        "households",
        "village_code",
        "522301009201",
        "areas_not_nested",
        "is not in its township",
        "Correct the code",
    ),
    ("leads", "topic", f"请联系{PHONE}", "phone_number", "mobile phone", "pseudonym"),
    ("leads", "topic", f"证号{VALID_ID}。", "identity_number", "check digit", "pseudonym"),
    ("income", "event_id", VALID_ID, "identity_number", "check digit", "pseudonym"),
    ("income", "event_id", PHONE, "phone_number", "mobile phone", "pseudonym"),
]


@pytest.mark.parametrize("wrong", CELLS, ids=[f"{c[3]}-{c[2]}" for c in CELLS])
def test_a_wrong_cell_is_refused_with_its_row_and_what_to_do(tmp_path, records, as_csv, wrong):
    table, column, cell, check, found, remedy = wrong
    folder = as_csv(tmp_path / "csv", {name: records[name] for name in {"households", "members", table}})
    change_text(folder, table, column, 1, cell)
    report = check_tables(folder)
    finding = next(
        finding for finding in report.findings if (finding.check, finding.column) == (check, column)
    )
    assert finding.level == "error"
    assert (finding.table, finding.file, finding.column) == (table, f"{table}.csv", column)
    assert 3 in finding.rows and finding.count >= 1  # the header is row 1
    assert found in finding.found
    assert remedy in finding.remedy


def test_reading_refuses_what_checking_finds(folder):
    change_text(folder, "income", "amount", 1, "-5")
    with pytest.raises(DataError, match="row 3"):
        read_tables(folder)


@pytest.mark.parametrize("secret", [VALID_ID, PHONE])
def test_an_identity_is_never_repeated_in_a_message(folder, secret):
    change_text(folder, "leads", "topic", 1, f"找{secret}")
    change_text(folder, "income", "event_id", 1, secret)
    change_text(folder, "income", "source", 3, secret)
    change_text(folder, "income", "amount", 4, secret + "元")
    report = check_tables(folder)
    assert secret not in report.text()
    assert secret not in report.json()
    assert secret[3:] not in report.text()


def test_an_eighteen_digit_number_with_a_wrong_check_digit_is_no_identity(folder):
    change_text(folder, "income", "event_id", 1, VALID_ID[:-1] + "3")
    assert check_tables(folder).ok


@pytest.mark.parametrize(
    ("heading", "word"),
    [
        ("姓名", "a name"),
        ("户主姓名", "a name"),
        ("name", "a name"),
        ("身份证号码", "an identity number"),
        ("联系电话", "a phone number"),
        ("phone", "a phone number"),
    ],
)
def test_a_column_of_names_numbers_or_phones_is_refused_though_it_is_not_used(folder, heading, word):
    path = folder / "members.csv"
    pl.read_csv(path, infer_schema=False).with_columns(pl.lit("").alias(heading)).write_csv(path)
    finding = only(check_tables(folder), "identity_column")
    assert word in finding.found and finding.column == heading and "Leave the column out" in finding.remedy


def test_names_of_persons_are_found_under_a_harmless_heading(folder):
    path = folder / "leads.csv"
    frame = pl.read_csv(path, infer_schema=False)
    names = ["王小明", "李芳", "张伟强", "陈静"][: frame.height]
    frame.with_columns(pl.Series("remark", names)).write_csv(path)
    finding = only(check_tables(folder), "person_names")
    assert finding.column == "remark" and finding.count == 4
    assert "王小明" not in check_tables(folder).text()


def test_names_in_a_column_of_codes_are_not_repeated(folder):
    for row, name in enumerate(("王小明", "李芳", "张伟强", "陈静")):
        change_text(folder, "income", "source", row, name)
    report = check_tables(folder)
    assert "look like names, withheld" in only(report, "unknown_code").found
    assert "王小明" not in report.text() and "王小明" not in report.json()


def test_a_folder_without_parquet_files_is_not_passed_over(folder):
    (folder / "income.csv").unlink()
    (folder / "income").mkdir()
    assert "without Parquet files" in only(check_tables(folder), "unknown_form").found


def test_villages_are_not_taken_for_names(folder):
    path = folder / "households.csv"
    frame = pl.read_csv(path, infer_schema=False)
    villages = [name for name in ("王家村", "李家寨", "高桥镇", "白果坪") for _ in range(frame.height)][
        : frame.height
    ]
    frame.with_columns(pl.Series("remark", villages)).write_csv(path)
    assert check_tables(folder).ok


def test_a_missing_required_column_is_named_with_the_likeliest_candidate(folder):
    path = folder / "medical.csv"
    pl.read_csv(path, infer_schema=False).rename({"self_paid": "个人自付金额"}).write_csv(path)
    finding = only(check_tables(folder), "missing_column")
    assert finding.column == "self_paid" and "`self_paid` (个人自付)" in finding.expected
    assert "`个人自付金额: self_paid`" in finding.remedy and "tables.yaml" in finding.remedy


@pytest.mark.parametrize("table", ["households", "members"])
def test_scoring_cannot_do_without_households_and_members(folder, table):
    (folder / f"{table}.csv").unlink()
    finding = only(check_tables(folder), "missing_table")
    assert finding.level == "error" and finding.table == table


def test_training_cannot_do_without_verifications_which_is_a_warning(folder):
    (folder / "verifications.csv").unlink()
    finding = only(check_tables(folder), "missing_table")
    assert finding.level == "warning" and "training" in finding.remedy


def test_any_other_table_may_be_absent(folder):
    for table in ("income", "expenditure", "medical", "policy", "shocks", "assets", "authorisations"):
        (folder / f"{table}.csv").unlink()
    report = check_tables(folder)
    assert report.ok and not report.warnings, report.text()
    tables = read_tables(folder)
    assert "income" not in tables and tables.get("income").height == 0


def test_two_versions_of_one_state_at_one_date_are_refused_both(records):
    records["households"].append(records["households"][0] | {"category": "lifted", "relocated": False})
    with pytest.raises(DataError, match="different rows with the same household_id and known_on"):
        tables_of(records)


def test_two_different_events_with_one_id_and_date_are_refused(records):
    records["income"].append(records["income"][0] | {"amount": 1.0})
    with pytest.raises(
        DataError, match=r"column `event_id`, rows 1, 319.*a correction is a new row with a later known_on"
    ):
        tables_of(records)


def test_exact_duplicates_count_once_and_are_a_warning(folder):
    path = folder / "income.csv"
    frame = pl.read_csv(path, infer_schema=False)
    pl.concat([frame, frame.head(3)]).write_csv(path)
    finding = only(check_tables(folder), "exact_duplicate")
    assert finding.level == "warning" and finding.count == 3 and finding.rows == (320, 321, 322)
    assert read_tables(folder)["income"].height == frame.height


def test_announced_events_may_be_known_before(records):
    early = {"known_on": records["shocks"][0]["occurred_on"].replace(year=2022)}
    records["shocks"][0] |= early
    records["assistance"][0] |= {"known_on": records["assistance"][0]["occurred_on"].replace(year=2022)}
    tables_of(records)


def test_a_shock_hits_a_household_or_an_area(folder):
    change_text(folder, "shocks", "household_id", 0, "")
    finding = only(check_tables(folder), "missing_value")
    assert finding.expected == "household_id or area_code"


# Files


def test_an_empty_file_is_refused(folder):
    (folder / "income.csv").write_bytes(b"")
    assert "an empty file" in only(check_tables(folder), "empty_file").found


def header_only(path):
    path.write_text(path.read_text().split("\n")[0] + "\n")


def test_a_header_without_rows_of_an_optional_table_is_a_warning_because_it_may_be_a_cut_file(folder):
    header_only(folder / "income.csv")
    report = check_tables(folder)
    finding = only(report, "empty_file")
    assert report.ok and finding.level == "warning" and "may_be_empty" in finding.remedy
    assert read_tables(folder)["income"].height == 0
    (folder / "tables.yaml").write_text("income: {may_be_empty: true}\n")
    assert "empty_file" not in {finding.check for finding in check_tables(folder).findings}


def test_a_header_without_rows_of_a_required_table_is_refused(folder):
    header_only(folder / "members.csv")
    assert only(check_tables(folder), "empty_file").level == "error"


def test_a_file_that_breaks_off_in_its_last_row_is_refused(folder):
    path = folder / "income.csv"
    text = path.read_text()
    path.write_text(text[: text.rstrip().rfind(",") - 3])
    finding = only(check_tables(folder), "truncated_file")
    assert finding.rows == (319,) and "breaks off" in finding.found


def test_a_quote_mark_that_is_never_closed_is_named(folder):
    path = folder / "expenditure.csv"
    path.write_text(path.read_text().replace("education", '"education', 1))
    found = only(check_tables(folder), "truncated_file").found
    assert "never closed" in found and "expenditure.csv:" in found


def test_a_file_of_one_word_lacks_every_column(folder):
    (folder / "income.csv").write_bytes(b"hello")
    checks = {finding.check for finding in check_tables(folder).errors}
    assert checks == {"missing_column"}


def test_a_cell_with_line_breaks_counts_as_one_row(folder):
    path = folder / "leads.csv"
    text = path.read_text().replace("医疗支出较大", '"医疗\n支出, 较大"')
    path.write_text(text)
    assert check_tables(folder).ok
    change_text(folder, "leads", "channel", 2, "?")
    assert only(check_tables(folder), "unknown_code").rows == (4,)


def test_a_file_without_a_last_line_break_is_suspected_of_being_cut(folder):
    path = folder / "income.csv"
    path.write_text(path.read_text().rstrip("\n"))
    finding = only(check_tables(folder), "no_last_line_break")
    assert finding.level == "warning"


def test_a_truncated_compressed_file_is_refused(folder):
    data = gzip.compress((folder / "income.csv").read_bytes())
    (folder / "income.csv").unlink()
    (folder / "income.csv.gz").write_bytes(data[:-20])
    assert "truncated" in only(check_tables(folder), "truncated_file").found


def test_a_truncated_parquet_file_is_refused(clean_folder):
    path = clean_folder / "income.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    finding = only(check_tables(clean_folder), "truncated_file")
    assert finding.file == "income.parquet" and "damaged or truncated" in finding.found


def test_a_truncated_workbook_is_refused(folder):
    (folder / "income.csv").unlink()
    (folder / "income.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    assert "workbook" in only(check_tables(folder), "truncated_file").found


def test_rows_with_too_many_cells_are_refused_with_their_numbers(folder):
    path = folder / "expenditure.csv"
    lines = path.read_text().splitlines()
    lines[3] += ",x"
    lines[7] += ",x"
    path.write_text("\n".join(lines) + "\n")
    finding = only(check_tables(folder), "ragged_row")
    assert finding.rows == (4, 8) and "as in the header" in finding.expected


def test_blank_lines_do_not_shift_the_row_numbers(folder):
    path = folder / "expenditure.csv"
    lines = path.read_text().splitlines()
    lines[5] = lines[5].rsplit(",", 1)[0] + ",-7"
    lines.insert(2, "")
    lines.insert(3, "")
    path.write_text("\n".join(lines) + "\n\n")
    assert only(check_tables(folder), "negative").rows == (8,)


def test_utf_16_is_refused_with_the_way_out(folder):
    path = folder / "income.csv"
    path.write_bytes(path.read_text().encode("utf-16"))
    finding = only(check_tables(folder), "wrong_encoding")
    assert "UTF-16" in finding.found and "CSV UTF-8" in finding.remedy


def test_two_encodings_in_one_file_are_refused_with_the_row(folder):
    path = folder / "leads.csv"
    lines = path.read_text().splitlines()
    path.write_bytes(
        "\n".join(lines[:3]).encode("utf-8") + b"\n" + "\n".join(lines[3:]).encode("gb18030") + b"\n"
    )
    finding = only(check_tables(folder), "wrong_encoding")
    assert "row 4" in finding.found and "two encodings" in finding.remedy


@pytest.mark.parametrize("encoding", ["big5", "shift_jis", "latin-1"])
def test_another_encoding_is_not_read_as_gb18030(folder, encoding):
    path = folder / "leads.csv"
    text = {
        "big5": "醫療支出較大，請儘快處理",
        "shift_jis": "医療費の支払いについて",
        "latin-1": "Müller ça déjà été payé",
    }[encoding]
    path.write_bytes(path.read_text().replace("医疗支出较大", text).encode(encoding))
    assert only(check_tables(folder), "wrong_encoding").level == "error"


def test_bytes_that_mean_something_in_both_encodings_are_not_guessed(folder):
    path = folder / "leads.csv"
    path.write_bytes(path.read_text().replace("医疗支出较大", "模战").encode("gb18030"))
    finding = only(check_tables(folder), "wrong_encoding")
    assert "with different meaning" in finding.found and "encoding: gb18030" in finding.remedy
    (folder / "tables.yaml").write_text("leads: {encoding: gb18030}\n")
    assert read_tables(folder)["leads"]["topic"].unique().to_list() == ["模战"]


def test_utf_8_that_breaks_off_within_a_character_is_called_cut(folder):
    path = folder / "leads.csv"
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind("较".encode()) + 1])
    assert "breaks off" in only(check_tables(folder), "wrong_encoding").found


@pytest.mark.parametrize(("sign", "word"), [("\t", "tabs"), (";", "semicolons")])
def test_another_separator_is_named(folder, sign, word):
    path = folder / "income.csv"
    path.write_text(path.read_text().replace(",", sign))
    assert word in only(check_tables(folder), "wrong_separator").found


def test_a_column_that_stands_twice_is_refused(folder):
    path = folder / "income.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",amount"] + [line + ",1" for line in lines[1:]]) + "\n")
    assert "`amount`" in only(check_tables(folder), "column_twice").found


def test_the_english_and_the_chinese_name_of_one_column_are_not_both_taken(folder):
    path = folder / "income.csv"
    pl.read_csv(path, infer_schema=False).with_columns(pl.lit("1").alias("金额")).write_csv(path)
    assert "`amount` and `金额`" in only(check_tables(folder), "column_twice").found


def test_two_files_for_one_table_are_refused(folder, records, as_parquet):
    as_parquet(folder, {"income": records["income"]})
    assert "one entry for income" in only(check_tables(folder), "two_files").expected


def test_a_folder_that_is_not_there_is_named(tmp_path):
    report = check_tables(tmp_path / "nowhere")
    assert [finding.check for finding in report.errors] == ["no_folder"]


def test_a_form_that_is_not_read_is_named(folder):
    (folder / "income.csv").rename(folder / "income.xls")
    assert "Save it as .xlsx" in only(check_tables(folder), "unknown_form").remedy


@pytest.mark.parametrize(
    "ending",
    ["xls", "xlsm", "xlsb", "ods", "et", "txt", "tsv", "json", "zip", "csv.zip", "parquet.gz", "dbf", "bak"],
)
@pytest.mark.parametrize("stem", ["income", "收入"])
def test_a_table_in_a_form_that_is_not_read_is_never_passed_over(folder, stem, ending):
    (folder / "income.csv").rename(folder / f"{stem}.{ending}")
    finding = only(check_tables(folder), "unknown_form")
    assert finding.level == "error" and f"{stem}.{ending}" in finding.file


@pytest.mark.parametrize("name", ["tables.yml", "Tables.yaml"])
def test_a_mapping_under_another_name_is_not_passed_over(folder, name):
    (folder / name).write_text("income: {ignore: [x]}\n")
    assert "Rename it to tables.yaml" in only(check_tables(folder), "unknown_file").remedy
    (folder / name).rename(folder / "tables.yaml")
    assert check_tables(folder).ok


def test_a_file_in_a_folder_of_partitions_that_is_not_read_is_named(clean_folder):
    (clean_folder / "income").mkdir()
    (clean_folder / "income.parquet").rename(clean_folder / "income" / "a.PARQUET")
    (clean_folder / "income" / "_SUCCESS").write_text("")
    assert check_tables(clean_folder).ok
    (clean_folder / "income" / "b.csv").write_text("event_id\n")
    finding = only(check_tables(clean_folder), "unknown_form")
    assert "b.csv" in finding.found and finding.file == "income"


@pytest.mark.parametrize(
    ("file", "check"),
    [("../x.csv", "no_file"), ("x.xls", "unknown_form"), ("empty", "unknown_form"), ("none.csv", "no_file")],
)
def test_a_file_that_the_mapping_names_and_nobody_can_read_is_refused(folder, file, check):
    (folder / "x.xls").write_bytes(b"x")
    (folder / "empty").mkdir()
    (folder / "income.csv").unlink()
    (folder / "tables.yaml").write_text(f"income:\n  file: {file}\n")
    assert only(check_tables(folder), check).level == "error"


def test_a_file_of_no_table_is_pointed_out(folder):
    (folder / "incomes.csv").write_text("a,b\n1,2\n")
    assert only(check_tables(folder), "unknown_file").level == "warning"


@pytest.mark.parametrize(
    ("series", "check"),
    [
        (pl.Series("household_id", [1.0, None] * 12), "id_as_number"),
        (pl.Series("household_id", [[1]] * 24), "wrong_type"),
    ],
)
def test_parquet_columns_of_a_type_without_meaning_are_refused(clean_folder, series, check):
    path = clean_folder / "expenditure.parquet"
    pl.read_parquet(path).with_columns(series).write_parquet(path)
    assert only(check_tables(clean_folder), check).column == "household_id"


def test_a_partition_with_rows_of_another_county_is_refused(clean_folder):
    path = clean_folder / "households" / "county_code=522399" / "part.parquet"
    path.parent.mkdir(parents=True)
    (clean_folder / "households.parquet").rename(path)
    finding = only(check_tables(clean_folder), "wrong_partition")
    assert finding.expected == "county_code 522399" and finding.count == 28


def test_partitions_with_different_columns_are_refused(clean_folder):
    path = clean_folder / "leads.parquet"
    frame = pl.read_parquet(path)
    folder = clean_folder / "leads"
    folder.mkdir()
    frame.head(2).write_parquet(folder / "a.parquet")
    frame.tail(2).drop("topic").write_parquet(folder / "b.parquet")
    path.unlink()
    assert "topic" in only(check_tables(clean_folder), "partitions_differ").found


def test_rows_of_partitions_are_named_with_their_own_file(clean_folder):
    path = clean_folder / "leads.parquet"
    frame = pl.read_parquet(path).with_columns(household_id=pl.lit("X"))
    folder = clean_folder / "leads"
    folder.mkdir()
    frame.head(1).write_parquet(folder / "a.parquet")
    frame.tail(3).write_parquet(folder / "b.parquet")
    path.unlink()
    orphans = [
        (finding.file, finding.rows)
        for finding in check_tables(clean_folder).errors
        if finding.check == "orphan"
    ]
    assert orphans == [("leads/a.parquet", (1,)), ("leads/b.parquet", (1, 2, 3))]


def test_a_column_under_ignore_does_not_come_in_and_is_therefore_not_refused(folder):
    path = folder / "leads.csv"
    pl.read_csv(path, infer_schema=False).with_columns(pl.lit(PHONE).alias("联系电话")).write_csv(path)
    assert not check_tables(folder).ok
    (folder / "tables.yaml").write_text("leads: {ignore: [联系电话]}\n", encoding="utf-8")
    assert check_tables(folder).ok


# The report


def test_a_folder_with_all_faults_yields_one_complete_report(folder):
    """Faults that can stand beside each other stand in one folder, and every one of them is reported, with
    its first ten rows.
    """
    path = folder / "income.csv"
    frame = pl.read_csv(path, infer_schema=False)
    for column, first, cells in (
        ("source", 20, ["wagee"] * 15),
        ("amount", 40, ["-5", "inf", "", "abc", "1.2E+05", "3万元"]),
        ("occurred_on", 60, ["2023.3.1", "44986"]),
        ("known_on", 70, ["2020-01-01"]),
        ("household_id", 80, ["3.30102E+17", "X9", "12.0", "#N/A", '="1"']),
        ("event_id", 90, [VALID_ID, PHONE]),
    ):
        values = frame[column].to_list()
        values[first : first + len(cells)] = cells
        frame = frame.with_columns(pl.Series(column, values, dtype=pl.String))
    pl.concat([frame, frame.head(2), frame.slice(5, 1).with_columns(amount=pl.lit("1"))]).write_csv(path)
    change_text(folder, "members", "birth_date", 0, "2030-01-01")
    change_text(folder, "members", "household_id", 1, "X8")
    change_text(folder, "households", "village_code", 2, "522301009201")
    change_text(folder, "households", "relocated", 3, "有")
    change_text(folder, "disability", "level", 0, "9")
    for name, heading in (("leads", "联系电话"), ("medical", "姓名")):
        other = folder / f"{name}.csv"
        pl.read_csv(other, infer_schema=False).with_columns(pl.lit("x").alias(heading)).write_csv(other)
    medical = folder / "medical.csv"
    pl.read_csv(medical, infer_schema=False).drop("self_paid").write_csv(medical)
    (folder / "assets.csv").write_bytes(b"")
    (folder / "expenditure.csv").write_bytes((folder / "expenditure.csv").read_text().encode("utf-16"))
    assistance = (folder / "assistance.csv").read_text()
    (folder / "assistance.csv").write_text(assistance[: assistance.rstrip().rfind(",") - 3])

    report = check_tables(folder)
    assert {finding.check for finding in report.errors} >= {
        "unknown_code",
        "negative",
        "infinite",
        "missing_value",
        "not_a_number",
        "exponent_number",
        "unit_in_cell",
        "unknown_date",
        "known_before_occurred",
        "exponent_id",
        "orphan",
        "id_as_number",
        "formula_error",
        "quoted_id",
        "identity_number",
        "phone_number",
        "two_versions",
        "birth_in_future",
        "areas_not_nested",
        "not_true_or_false",
        "out_of_range",
        "identity_column",
        "missing_column",
        "empty_file",
        "wrong_encoding",
        "truncated_file",
    }
    assert "exact_duplicate" in {finding.check for finding in report.warnings}
    codes = next(finding for finding in report.errors if finding.check == "unknown_code")
    assert codes.count == 15 and codes.rows == tuple(range(22, 32))
    assert "rows 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 and 5 more" in report.text()
    assert json.loads(report.json())["errors"][0].keys() >= {
        "table",
        "file",
        "column",
        "rows",
        "count",
        "found",
        "expected",
        "remedy",
    }
    with pytest.raises(DataError) as refused:
        read_tables(folder)
    assert len(refused.value.faults) == len(report.errors)


def test_every_message_answers_all_four_questions(folder):
    for column, cell in (("source", "x"), ("amount", "-1"), ("occurred_on", "x"), ("household_id", "1E+5")):
        change_text(folder, "income", column, 1, cell)
    for finding in check_tables(folder).findings:
        assert finding.where and finding.found and finding.expected and finding.remedy and finding.in_chinese
