"""A mapping is proposed from an extract's header, marked as a guess where it is one, and works when it is
right.
"""

from __future__ import annotations

import csv
import io

import pytest

from riskmodel.errors import DataError
from riskmodel.tables import propose_mapping, read_tables

HEADING = [
    "结算流水号",
    "人员编码",
    "就诊日期",
    "交换日期",
    "医疗类别",
    "医疗总费用（万元）",
    "统筹支付",
    "自付费用",
    "经办机构",
    "联系电话",
]
NAMES = ["event_id", "member_id", "occurred_on", "known_on", "kind", "total_cost", "reimbursed", "self_paid"]


def extract(path, rows, heading=HEADING, encoding="gb18030"):
    text = io.StringIO()
    csv.writer(text).writerows([heading, *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@pytest.fixture
def medical(tmp_path, records):
    rows = []
    for row in records["medical"]:
        cells = [row[name] for name in NAMES] + ["县医院", ""]
        cells[4] = "普通住院" if row["kind"] == "inpatient" else "普通门诊"
        cells[5] = f"{row['total_cost'] / 10000:.6f}"
        rows.append(cells)
    return extract(tmp_path / "医保结算.csv", rows)


def test_a_foreign_header_is_mapped_with_units_and_codes(medical):
    text = propose_mapping(medical)
    assert text.splitlines()[2] == "medical:"
    for line in (
        "  file: 医保结算.csv",
        "    结算流水号: event_id",
        "    人员编码: member_id",
        "    就诊日期: occurred_on",
        "    交换日期: known_on",
        "    医疗类别: kind",
        "    total_cost: {from: 医疗总费用(万元), unit: 万元}",
        "    自付费用: self_paid",
    ):
        assert line in text
    assert "普通住院: inpatient" in text and "# ?" in text
    assert "ignore: [经办机构]" in text
    assert "# open: `联系电话` looks like a phone number: leave it out at the source" in text


def test_a_proposal_that_is_right_reads_the_extract_as_its_clean_twin(medical, clean_folder, tmp_path):
    clean = read_tables(clean_folder)["medical"].drop(
        "compliant_self_paid", "hospital_days", "diagnosis_group"
    )
    text = propose_mapping(medical)
    # What the proposal asks for: the phone column is left out at the source.
    rows = list(csv.reader(io.StringIO(medical.read_bytes().decode("gb18030"))))
    extract(clean_folder / medical.name, [row[:-1] for row in rows[1:]], HEADING[:-1])
    (clean_folder / "medical.parquet").unlink()
    (clean_folder / "tables.yaml").write_text(text, encoding="utf-8")
    read = read_tables(clean_folder)["medical"].drop(
        "compliant_self_paid", "hospital_days", "diagnosis_group"
    )
    assert read.equals(clean)


def test_a_file_named_after_its_table_needs_no_guess_and_a_missing_column_is_asked_for(tmp_path):
    path = extract(
        tmp_path / "leads.csv",
        [["L1", "H1", "2024-01-01", "干部排查"]],
        ["event_id", "户编号", "occurred_on", "来源渠道"],
    )
    text = propose_mapping(path)
    assert "columns" not in text
    assert "# open: `known_on` (入库日期) is needed, but no column looks like it" in text


def test_a_value_that_resembles_no_code_is_asked_for(tmp_path):
    path = extract(
        tmp_path / "leads.csv",
        [["L1", "H1", "2024-01-01", "2024-01-02", "卫星"]],
        ["event_id", "户编号", "occurred_on", "known_on", "来源渠道"],
    )
    assert "`channel` has the value `卫星`" in propose_mapping(path)


def test_a_file_that_fits_no_table_is_refused(tmp_path):
    path = extract(tmp_path / "x.csv", [["1", "2"]], ["甲", "乙"])
    with pytest.raises(DataError, match="--table"):
        propose_mapping(path)
    with pytest.raises(DataError, match="no such file"):
        propose_mapping(tmp_path / "y.csv")
    with pytest.raises(DataError, match="no table of the contract"):
        propose_mapping(path, "lead")
