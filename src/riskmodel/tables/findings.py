"""What the checks found: one finding a kind of fault, table, file and column, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from riskmodel.errors import Fault

SHOWN_ROWS = 10

# Every check: level, and what it finds, in English and Chinese. docs/tables.md lists them from here.
CHECKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "no_folder": ("error", "the folder is not there", "没有这个文件夹"),
    "missing_table": (
        "error",
        "`households` or `members` is not there; a warning for `verifications`, which training needs",
        "缺少必需的数据表",
    ),
    "two_files": ("error", "two entries for one table", "同一张表有两个文件"),
    "no_file": (
        "error",
        "a file that `tables.yaml` names is not there; a warning for an entry without a table",
        "映射文件中写明的文件不存在",
    ),
    "unknown_form": (
        "error",
        "a table in a form that is not read (.xls, .txt, .zip)",
        "不能读取的文件格式，请另存为 .xlsx、.csv 或 .parquet",
    ),
    "unknown_file": (
        "warning",
        "a readable file that is called like no table",
        "文件名与任何数据表都不对应，未读取",
    ),
    "empty_file": (
        "error",
        "no bytes, or a header without rows (a warning for an optional table)",
        "空文件，或只有表头没有数据，请核对是否漏导",
    ),
    "truncated_file": (
        "error",
        "a file that breaks off or is damaged: CSV, compressed CSV, Parquet, Excel",
        "文件不完整或已损坏，请重新导出或复制",
    ),
    "no_last_line_break": (
        "warning",
        "a CSV that may have been cut after a complete row",
        "文件末尾没有换行，可能被截断，请核对行数",
    ),
    "wrong_encoding": (
        "error",
        "neither UTF-8 nor common GB18030; both with different meaning; both in one file; UTF-16",
        "编码不明，请另存为 UTF-8",
    ),
    "wrong_separator": ("error", "a CSV separated by tabs, semicolons or bars", "列分隔符不是逗号"),
    "stray_quote": (
        "error",
        "a quote mark in a CSV that joins cells or rows",
        "单元格开头有未转义的引号，会把多行并成一行，请用双引号转义后重新导出",
    ),
    "rows_lost": ("error", "a file of which not every row could be read", "文件行数与读入行数不一致"),
    "far_cell": (
        "error",
        "a filled cell of a workbook far from the table",
        "表格之外很远处有内容，请删除多余的行和列后保存",
    ),
    "ragged_row": ("error", "rows with more or fewer cells than the header", "行内单元格数量与表头不一致"),
    "several_sheets": (
        "error",
        "a workbook with several filled sheets, none called like the table",
        "工作簿有多个非空工作表，请写明用哪一个",
    ),
    "no_sheet": ("error", "the sheet that `tables.yaml` names is not there", "没有指定的工作表"),
    "column_twice": ("error", "two columns of one name, or two that mean the same column", "列重复"),
    "missing_column": ("error", "a required column is not there", "缺少必需的列"),
    "mapped_column_missing": (
        "error",
        "a column that `tables.yaml` names is not there",
        "映射文件中写明的列不存在",
    ),
    "partitions_differ": ("error", "Parquet partitions with different columns", "各分区文件的列不一致"),
    "wrong_partition": (
        "error",
        "rows of another county than that of the folder's name",
        "行的县代码与分区文件夹不一致",
    ),
    "wrong_type": ("error", "a Parquet column of a type that cannot mean this column", "列的数据类型不对"),
    "missing_value": ("error", "an empty cell where a value is required", "必填项为空"),
    "unknown_code": ("error", "a code that the contract does not have", "未知代码，请改正或在映射文件中对应"),
    "not_true_or_false": ("error", "a flag that is neither", "既不是“是”也不是“否”"),
    "unknown_date": (
        "error",
        "a date in no known form, a day that does not exist, a spreadsheet's day number, a time of day",
        "日期格式无法识别或日期不存在",
    ),
    "not_a_number": ("error", "text where a number is expected", "不是数字"),
    "exponent_number": (
        "error",
        "a number that a spreadsheet has shortened (`1.2E+05`)",
        "数字被表格软件改成了科学计数法",
    ),
    "unit_in_cell": ("error", "a number with its unit in the cell (`3万元`)", "单元格内带有单位，请去掉单位"),
    "negative": ("error", "a negative amount or count", "数值为负"),
    "infinite": ("error", "an infinite amount", "数值为无穷大"),
    "out_of_range": (
        "error",
        "a level outside 1 to 4; an amount or count beyond all reason",
        "等级不在 1 至 4 之间，或数值过大",
    ),
    "bad_area": ("error", "not an area code of this level", "不是该级别的区划代码"),
    "areas_not_nested": (
        "error",
        "a township outside its county, a village outside its township",
        "乡镇不在所属县内，或村不在所属乡镇内",
    ),
    "exponent_id": (
        "error",
        "an id that was turned into `3.30102E+17`",
        "编号被表格软件改成了科学计数法，位数已丢失，请将该列设为文本后重新导出",
    ),
    "id_as_number": (
        "error",
        "an id that was turned into a decimal number; a warning for ids kept as whole numbers",
        "编号被存为数字，前导零可能丢失，请以文本导出",
    ),
    "quoted_id": ("error", "an id with a quote mark or formula sign in front", "编号前有引号或等号"),
    "bad_id": (
        "error",
        "an id with other signs than letters, digits and `_ - . :`, or longer than 64",
        "编号只能由 1 至 64 位字母、数字和 _ - . : 组成",
    ),
    "formula_error": ("error", "`#N/A`, `#REF!` and the like", "单元格是公式错误值"),
    "formula_without_value": (
        "error",
        "a formula whose result is not stored in the workbook",
        "公式没有保存计算结果，请用表格软件打开并保存",
    ),
    "merged_cells": (
        "error",
        "merged cells with a value, below the header",
        "数据区有合并单元格，请取消合并并逐行填写",
    ),
    "birth_in_future": ("error", "a birth after the day it was known", "出生日期晚于入库日期"),
    "known_before_occurred": (
        "error",
        "`known_on` before `occurred_on`, but in announced tables",
        "入库日期早于发生日期",
    ),
    "orphan": (
        "error",
        "a member of no household, an event of no household or member",
        "所属的户或人员不存在",
    ),
    "owner_refused": (
        "error",
        "only in quarantine: rows whose household or member was refused",
        "所属的户或人员未通过检查",
    ),
    "two_versions": (
        "error",
        "different rows with the same key and `known_on`",
        "同一编号、同一入库日期有内容不同的两行",
    ),
    "before_birth": (
        "error",
        "a bill, certificate, wage or income of a member before the member's birth",
        "发生日期早于该成员的出生日期",
    ),
    "left_before_birth": ("error", "a member who left before being born", "离开日期早于出生日期"),
    "part_above_total": (
        "error",
        "reimbursed or self-paid alone above the total cost",
        "报销或个人自付金额大于总费用",
    ),
    "owner_changed": (
        "error",
        "a correction that changes its household, member or area: ids of events that begin again",
        "同一记录编号先后属于不同的户、人员或地区（编号重复使用？）",
    ),
    "household_reused": (
        "error",
        "a household id that strangers use after everybody who had it left",
        "户编号被重复使用：原有成员全部离开之后，由另外的人员使用",
    ),
    "member_reused": (
        "error",
        "a member id that was used for another person: sex and birth differ, or one of them after leaving",
        "人员编号被重复使用：性别和出生日期均与此前不同，或离开后再次出现时不同",
    ),
    "two_households": (
        "error",
        "one member in two households on one `known_on`",
        "同一成员在同一入库日期属于两个户",
    ),
    "identity_number": (
        "error",
        "an 18-digit number with the check digit of a national id",
        "疑似居民身份证号码，请在来源处替换为假名编号",
    ),
    "phone_number": ("error", "an 11-digit number like a mobile phone's", "疑似手机号码，请在来源处去掉"),
    "person_names": ("error", "values that look like names of persons", "疑似姓名，请在来源处去掉"),
    "identity_column": (
        "error",
        "a column called like a name, number, phone, account or address",
        "列名像是姓名、证件号、电话、账号或地址，请在来源处去掉该列",
    ),
    "exact_duplicate": ("warning", "rows that occur twice; they count once", "完全重复的行，只计一次"),
    "contradiction": (
        "warning",
        "what the field's audit rules call contradictory (below)",
        "前后矛盾，请向来源部门核对",
    ),
    "near_birth": (
        "warning",
        "a bill of a newborn dated up to 31 days before the birth",
        "新生儿的医疗费用发生日期早于出生日期（31 天以内）",
    ),
    "household_taken_over": (
        "warning",
        "a household id that people of other households use after everybody who had it left",
        "户编号由已登记的其他户成员接用：原有成员已全部离开",
    ),
    "after_leaving": (
        "warning",
        "a bill, certificate, wage or income of a member after `left_on`",
        "发生日期晚于该成员的离开日期（去世、婚嫁或迁出）",
    ),
    "before_household": ("warning", "an event of a household before it existed", "发生日期早于该户成立"),
    "after_household": (
        "warning",
        "an event of a household after its last member had left or moved",
        "发生日期晚于该户最后一名成员离开或迁入他户",
    ),
    "not_a_member": (
        "warning",
        "income of a person who was never a member of that household",
        "收入所列人员从未属于该户",
    ),
    "child_at_work": ("warning", "somebody under 16 years in employment", "不满 16 岁却有务工记录"),
    "came_back": ("warning", "a member who had left and is there again", "已离开（可能去世）的成员再次出现"),
    "back_and_forth": (
        "warning",
        "a member who moves between the same households again and again",
        "同一成员在几个户之间反复变动，可能同时登记在两个户",
    ),
    "household_merged": (
        "warning",
        "households that ended because their members live in another one now",
        "并户（或更换户编号）：原户的监测状态、走访和收入记录不随成员转移",
    ),
    "household_split": (
        "warning",
        "new households whose members came from one that goes on",
        "分户：监测状态、走访和收入记录留在原户",
    ),
    "many_corrections": (
        "warning",
        "a delivery that mostly corrects older rows: ids of events that begin again?",
        "一批数据中大部分是对旧记录的更正（编号是否每年重新开始？）",
    ),
    "event_moved": (
        "warning",
        "a correction that moves its event by more than 183 days",
        "更正使发生日期变动超过 183 天，可能是另一条记录使用了相同编号",
    ),
    "known_in_future": (
        "warning",
        "`known_on` after today, the day of the county (`timezone` of the project)",
        "入库日期在今天之后",
    ),
    "no_members": ("warning", "households without any member", "没有家庭成员的农户"),
    "unit_suspect": (
        "warning",
        "medians far from other counties, other months or what is usual: another unit?",
        "中位数异常，可能单位不同（如万元与元）",
    ),
    "delivery_gap": (
        "warning",
        "months without rows in a monthly delivery, or one that stopped before the others",
        "某些月份没有数据，请部门补报",
    ),
    "lag_changed": ("warning", "a reporting lag that is no longer what it was", "数据入库的滞后时间发生变化"),
    "missing_share": ("warning", "many missing values where one is due", "应填而未填的比例较高"),
}


@dataclass(frozen=True)
class Finding:
    """One fault or suspicion, with every row that has it.

    `rows` are the first ten row numbers as a person sees them in the file (CSV and Excel: the header is row
    1; Parquet: the first record is row 1), `count` is the number of all such rows, 0 where the fault is not
    of single rows.
    """

    level: Literal["error", "warning"]
    check: str
    table: str
    file: str
    column: str
    rows: tuple[int, ...]
    count: int
    found: str
    expected: str
    remedy: str
    zh: str = ""  # what was found, in Chinese, where the text of CHECKS is too general

    def __post_init__(self) -> None:
        assert self.check in CHECKS, f"describe the check `{self.check}` in CHECKS"

    @property
    def where(self) -> str:
        """File or table, column and rows, in words."""
        place = self.file or self.table
        if self.file and self.table and not self.file.startswith(self.table):
            place = f"{self.file} ({self.table})"
        if self.column:
            place += f", column `{self.column}`"
        if self.rows:
            rows = ", ".join(str(row) for row in self.rows)
            more = f" and {self.count - len(self.rows):,} more" if self.count > len(self.rows) else ""
            place += f", row{'s' if self.count > 1 else ''} {rows}{more}"
        return place

    @property
    def in_chinese(self) -> str:
        """What was found, in Chinese: the finding's own text, or else the general text of its check."""
        return self.zh or CHECKS[self.check][2]

    def fault(self) -> Fault:
        """The finding as a Fault, for an error message."""
        return Fault(self.where, self.found, self.expected, self.remedy)

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain data, for JSON; `zh` always filled."""
        return asdict(self) | {"rows": list(self.rows), "zh": self.in_chinese}


@dataclass
class TableSummary:
    """How one table was read: its files, their form, and what became of every row.

    rows: rows that were brought into the contract's types. read: rows in the files, counted apart from
    reading them; always read = used + refused (named in the findings) + duplicates + empty. counts: what else
    is worth a figure, by name.
    """

    table: str
    files: list[str]
    read_as: str
    rows: int
    counts: dict[str, int] = field(default_factory=dict)
    read: int = 0
    used: int = 0
    refused: int = 0
    duplicates: int = 0
    empty: int = 0

    def __post_init__(self) -> None:
        assert self.read == self.used + self.refused + self.duplicates + self.empty, self

    @property
    def parts(self) -> str:
        """What became of the rows, in words; empty where all are used."""
        words = {"refused": self.refused, "duplicate": self.duplicates, "empty": self.empty}
        others = [f"{count:,} {word}" for word, count in words.items() if count]
        return ": " + ", ".join([f"{self.used:,} used", *others]) if others else ""


@dataclass
class CheckReport:
    """Everything that the checks found in a folder, at once. `ok`: no errors; warnings do not stop
    anything.
    """

    folder: str
    findings: list[Finding]
    tables: list[TableSummary]

    @property
    def errors(self) -> list[Finding]:
        """Findings whose rows are refused."""
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """Findings whose rows are kept."""
        return [finding for finding in self.findings if finding.level == "warning"]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may remain."""
        return not self.errors

    def faults(self) -> list[Fault]:
        """The errors as the faults of a DataError."""
        return [finding.fault() for finding in self.errors]

    def text(self) -> str:
        """The report for people: the tables read, then errors and warnings, grouped by table."""
        lines = [f"Checked {self.folder}", ""]
        for summary in self.tables:
            extra = "".join(f", {count:,} {what}" for what, count in summary.counts.items() if count)
            lines.append(
                f"  {summary.table:<15}{summary.read:>12,} rows{summary.parts}  {summary.read_as}{extra}"
            )
        for title, findings in (
            ("ERRORS: these rows are refused", self.errors),
            ("WARNINGS: kept and used", self.warnings),
        ):
            if not findings:
                continue
            lines += ["", f"{title} ({len(findings)})"]
            for table, group in _grouped(findings):
                lines += ["", f"  {table}"]
                for finding in group:
                    lines.append(f"    {finding.where}  [{finding.check}]")
                    lines.append(f"      说明:     {finding.in_chinese}")
                    lines.append(f"      found:    {finding.found}")
                    lines.append(f"      expected: {finding.expected}")
                    lines.append(f"      do:       {finding.remedy}")
        lines.append("")
        if self.ok:
            lines.append(f"No errors, {_count(len(self.warnings), 'warning')}: the tables can be used.")
        else:
            counted = f"{_count(len(self.errors), 'error')}, {_count(len(self.warnings), 'warning')}"
            lines.append(f"{counted}: mend the errors and check again.")
        return "\n".join(lines)

    def json(self) -> str:
        """The same for programs: `{"folder", "ok", "tables": […], "errors": […], "warnings": […]}`."""
        document = {
            "folder": self.folder,
            "ok": self.ok,
            "tables": [asdict(summary) for summary in self.tables],
            "errors": [finding.as_dict() for finding in self.errors],
            "warnings": [finding.as_dict() for finding in self.warnings],
        }
        return json.dumps(document, ensure_ascii=False, indent=2)


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _grouped(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.table or "the folder", []).append(finding)
    return list(groups.items())
