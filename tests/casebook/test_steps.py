"""The steps of a month beside list and results: cycles, closing, recall, disagreements, backups; as functions
and as commands.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import riskmodel as rm
from riskmodel.casebook import Casebook, audit, seals
from riskmodel.casebook.schema import cycles, drawn_from, list_rows, lists
from riskmodel.casebook.store import writing
from riskmodel.errors import UserError
from riskmodel.tables import from_frames
from riskmodel.visits.returns import Result

RISKMODEL = Path(sys.executable).with_name("riskmodel")


def riskmodel(*arguments, **more):
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [RISKMODEL, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        **more,
    )


def give_out(project, cycle, as_of, county="522301", number=1, listed=6, outside=40):
    """A list of `listed` households, with so many outside of which every fourth was drawn with a chance of a
    quarter.
    """
    book = Casebook.of(project)
    name = f"{county}{cycle}{number}".ljust(64, "0")
    with writing(book.engine) as connection:
        if number == 1:
            connection.execute(cycles.insert().values(county_code=county, cycle=cycle, opened_at=audit.now()))
        head = {
            "list_hash": name,
            "county_code": county,
            "cycle": cycle,
            "as_of": as_of,
            "capacity": listed,
            "model_version": "m",
        }
        last = connection.exec_driver_sql("SELECT coalesce(max(issued_number), 0) FROM lists").scalar_one()
        head |= {"settings": "{}", "notes": "[]", "issued_at": audit.now(), "issued_number": last + 1}
        connection.execute(lists.insert().values(head))
        row = {
            "list_hash": name,
            "grade": "none",
            "inclusion_probability": 1.0,
            "content": '{"probability": 0.1}',
            "stratum": None,
        }
        rows = [
            row | {"household_id": f"h{n}", "number": n, "place": n, "listed_as": "model"}
            for n in range(listed)
        ]
        chance = {"listed_as": "random_check", "inclusion_probability": 0.25, "stratum": "t/1"}
        rows += [
            row | chance | {"household_id": f"o{n}", "number": 90 + n, "place": 90 + n}
            for n in range(0, outside, 4)
        ]
        connection.execute(list_rows.insert(), rows)
        population = {"list_hash": name, "probability": 0.01, "stratum": "t/1", "inclusion_probability": 0.25}
        connection.execute(
            drawn_from.insert(),
            [population | {"household_id": f"o{n}", "drawn": n % 4 == 0} for n in range(outside)],
        )
        audit.append(
            connection,
            actor="tests",
            action="list issued",
            subject=f"{county} {cycle}",
            details={"list_hash": name, "seal": seals.seal_of_list(connection, name)},
        )
    book.close()
    return name


def visit(project, name, day, **outcomes):
    """Results of one team on one day: household=outcome, or household=(outcome, disagreement)."""
    book = Casebook.of(project)
    results = []
    for household, said in outcomes.items():
        outcome, disagreement = (said, "") if isinstance(said, str) else said
        kinds = "illness" if outcome == "risk_confirmed" else ""
        results.append(Result(4, name, household, day, outcome, kinds, disagreement, "7", ""))
    book.take_in(results, known_on=day, by="tests")
    book.close()


@pytest.fixture
def own(own_project):
    """A project of its own, with an empty casebook."""
    return own_project


def test_without_a_list_there_is_no_cycle_and_it_is_said_what_to_do(own):
    assert rm.cycles(project=own).text() == "No list has been given out yet: riskmodel list"
    assert (
        rm.recall(project=own).recall.why == "There is no list yet." and rm.disagreements(project=own).empty
    )
    with pytest.raises(UserError, match="no list has been given out yet"):
        rm.close_cycle("2026-01", by="office", project=own)


def test_open_cycles_say_how_far_they_are_and_closed_ones_show_on_demand(own):
    first = give_out(own, "2026-01", dt.date(2025, 12, 31))
    give_out(own, "2026-02", dt.date(2026, 1, 31))
    visit(own, first, dt.date(2026, 1, 5), h0="no_risk", o0="no_risk")
    assert "522301 2026-01: open; list as of 2025-12-31, 2 of 16 visited" in rm.cycles(project=own).text()
    said = rm.close_cycle("2026-01", by="office", project=own)
    assert said.startswith("Cycle 2026-01 of 522301 is closed")
    assert [row.cycle for row in rm.cycles(project=own).rows] == ["2026-02"]
    assert [row.cycle for row in rm.cycles(closed=True, project=own).rows] == ["2026-01", "2026-02"]
    assert "closed on" in rm.cycles(closed=True, project=own).text()


def test_the_newest_list_of_a_cycle_is_the_one_in_force(own):
    give_out(own, "2026-01", dt.date(2025, 12, 31))
    give_out(own, "2026-01", dt.date(2026, 1, 3), number=2, listed=9)
    row = rm.cycles(project=own).rows[0]
    assert (row.lists, row.as_of, row.capacity) == (2, dt.date(2026, 1, 3), 9)
    assert "2 lists given out, the newest is in force" in row.text()


def test_contradictory_results_stay_in_view_until_they_are_cleared_up(own):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(own, name, dt.date(2026, 1, 5), h0="no_risk")
    book = Casebook.of(own)
    other = Result(4, name, "h0", dt.date(2026, 1, 8), "risk_confirmed", "illness", "", "8", "")
    book.take_in([other], known_on=dt.date(2026, 1, 9), by="tests")
    assert "contradiction, please clear it up: h0" in rm.cycles(project=own).text()
    agreed = Result(4, name, "h0", dt.date(2026, 1, 10), "no_risk", "", "", "8", "")
    book.take_in([agreed], known_on=dt.date(2026, 1, 10), by="tests")
    assert "contradiction" not in rm.cycles(project=own).text()


@pytest.mark.parametrize(
    ("cycle", "county", "message"),
    [
        ("2026-07", None, r"cycle 2026-07 of 522301: no such cycle; expected an open cycle \(2026-01\)"),
        ("2026-01", "522302", r"cycle 2026-01 of 522302: no such cycle; expected an open cycle \(none\)"),
    ],
)
def test_a_cycle_that_is_not_there_cannot_be_closed(own, cycle, county, message):
    give_out(own, "2026-01", dt.date(2025, 12, 31))
    with pytest.raises(UserError, match=message):
        rm.close_cycle(cycle, by="office", county=county, project=own)


def test_where_two_counties_have_the_cycle_the_county_must_be_named(own):
    give_out(own, "2026-01", dt.date(2025, 12, 31))
    give_out(own, "2026-01", dt.date(2025, 12, 31), county="522302")
    with pytest.raises(UserError, match="counties 522301, 522302; expected one county"):
        rm.close_cycle("2026-01", by="office", project=own)
    rm.close_cycle("2026-01", by="office", county="522302", project=own)
    assert [row.county_code for row in rm.cycles(project=own).rows] == ["522301"]


def test_recall_pools_the_cycles_and_can_be_asked_for_a_county_or_a_time(own):
    """Each month: six listed, of them two confirmed; ten of forty others drawn, of them five confirmed, each
    standing for four.
    """
    for month in (1, 2):
        name = give_out(own, f"2026-{month:02d}", dt.date(2026, month, 1))
        listed = {f"h{n}": "risk_confirmed" if n < 2 else "no_risk" for n in range(6)}
        drawn = {f"o{n}": "risk_confirmed" if n < 20 else "no_risk" for n in range(0, 40, 4)}
        visit(own, name, dt.date(2026, month, 5), **listed, **drawn)
    alone = rm.recall(since="2026-02-01", project=own)
    assert (
        alone.checks == 10
        and not alone.recall.estimable
        and "5 confirmed among 10 checks are too few" in alone.recall.why
    )
    both = rm.recall(project=own)
    # The first decisive result after a list counts: h2 to h5 and o20 to o36 are the same in both months.
    assert both.checks == 20 and both.checks_confirmed == 10
    assert both.recall.value == pytest.approx(4 / (4 + 10 * 4))
    assert rm.recall(county="522399", project=own).recall.text() == "not_estimable"


def swept(villages, confirmed=(), day=dt.date(2026, 1, 15)):
    """Tables of a county in which the sweep saw the households of some villages; o0 to o19 live in village
    201, o20 to o39 in 202.
    """
    home = {f"o{n}": "201" if n < 20 else "202" for n in range(40)}
    rows = [
        {
            "household_id": name,
            "known_on": dt.date(2022, 1, 1),
            "county_code": "522301",
            "township_code": "522301101",
            "village_code": f"522301101{home[name]}",
            "category": "general",
            "relocated": False,
        }
        for name in home
    ]
    seen = [name for name, village in home.items() if village in villages]
    visits = [
        {
            "event_id": name,
            "household_id": name,
            "occurred_on": day,
            "known_on": day,
            "origin": "sweep",
            "outcome": "risk_confirmed" if name in confirmed else "no_risk",
        }
        for name in seen
    ]
    schema = dict.fromkeys(("event_id", "household_id"), pl.String) | dict.fromkeys(
        ("occurred_on", "known_on"), pl.Date
    )
    schema |= dict.fromkeys(("origin", "outcome"), pl.String)
    return from_frames(
        {"households": pl.DataFrame(rows), "verifications": pl.DataFrame(visits, schema=schema)}
    )


def test_a_village_that_was_swept_whole_is_counted_and_the_others_are_estimated(own):
    """Two of village 201 are found by the sweep: two are missed there. In 202 one of five drawn is confirmed
    and stands for four: six in all.
    """
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    drawn = {f"o{n}": "risk_confirmed" if n == 20 else "no_risk" for n in range(0, 40, 4)}
    visit(own, name, dt.date(2026, 1, 5), h0="risk_confirmed", **drawn)
    said = rm.recall(tables=swept(["201"], confirmed=["o1", "o2"]), project=own)
    assert said.missed.value == pytest.approx(2 + 4) and said.checks == 20 + 5
    assert rm.recall(project=own).missed.value == pytest.approx(4)


def test_a_sweep_of_everybody_gives_recall_without_doubt(own):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(
        own,
        name,
        dt.date(2026, 1, 5),
        h0="risk_confirmed",
        h1="risk_confirmed",
        h2="no_risk",
        h3="no_risk",
        h4="no_risk",
        h5="no_risk",
    )
    said = rm.recall(tables=swept(["201", "202"], confirmed=["o1", "o30"]), project=own).recall
    assert (said.value, said.low, said.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("day", [dt.date(2025, 12, 31), dt.date(2026, 3, 1)])
def test_a_sweep_before_the_list_or_long_after_it_says_nothing_about_it(own, day):
    give_out(own, "2026-01", dt.date(2025, 12, 31))
    assert rm.recall(tables=swept(["201", "202"], confirmed=["o1"], day=day), project=own).checks == 0


def test_disagreements_are_told_in_words_by_kind_and_by_nothing_else(own):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    said = {
        "h0": ("no_risk", "record_wrong"),
        "h1": ("no_risk", "remittances"),
        "h2": ("no_risk", "record_wrong"),
    }
    visit(own, name, dt.date(2026, 1, 5), **said)
    table = rm.disagreements(project=own)
    assert table.columns.to_list() == ["kind", "zh", "en", "count"]
    assert (
        table.iloc[0].to_list() == ["record_wrong", "登记数据有误", "the record is wrong", 2]
        and len(table) == 2
    )


def test_a_backup_is_one_file_that_can_take_the_place_of_the_casebook(own, tmp_path):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(own, name, dt.date(2026, 1, 5), h0="no_risk")
    said = rm.backup(tmp_path / "copy.db", project=own)
    assert "2 audit entries" in said and sorted(path.name for path in tmp_path.iterdir()) == [
        "copy.db",
        "project",
    ]
    visit(own, name, dt.date(2026, 1, 6), h1="no_risk")
    shutil.rmtree(own.root / "casebook")
    (own.root / "casebook").mkdir()
    shutil.copy(tmp_path / "copy.db", own.root / "casebook" / "casebook.db")
    book = Casebook.of(own)
    assert book.verifications()["household_id"].to_list() == ["h0"] and book.audit_faults() == []


def test_a_backup_of_a_casebook_that_was_meddled_with_is_refused_and_the_older_one_stays(own, tmp_path):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(own, name, dt.date(2026, 1, 5), h0="no_risk")
    rm.backup(tmp_path / "copy.db", project=own)
    before = (tmp_path / "copy.db").read_bytes()
    book = Casebook.of(own)
    with writing(book.engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'nobody'")
    with pytest.raises(UserError, match="entry 1 was changed"):
        rm.backup(tmp_path / "copy.db", project=own)
    assert (tmp_path / "copy.db").read_bytes() == before


def test_a_backup_over_the_casebook_itself_is_refused(own):
    give_out(own, "2026-01", dt.date(2025, 12, 31))
    with pytest.raises(UserError, match="this is the casebook itself"):
        rm.backup(own.root / "casebook" / "casebook.db", project=own)


def test_a_full_disk_leaves_the_old_file_and_the_old_backup(own, tmp_path):
    """A limit on the size of files stands for the disk: the system refuses to write on, as on a full one."""
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(own, name, dt.date(2026, 1, 5), h0="no_risk")
    rm.backup(tmp_path / "copy.db", project=own)
    (tmp_path / "list.xlsx").write_bytes(b"old")
    before = (tmp_path / "copy.db").read_bytes()

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    code = (
        "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from riskmodel.errors import UserError; from riskmodel.files import write_bytes\n"
        "try: write_bytes(sys.argv[1], b'x' * 20000)\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "list.xlsx"],
        preexec_fn=small_disk,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the disk is full" in done.stdout and "What was there before is untouched" in done.stdout
    assert (tmp_path / "list.xlsx").read_bytes() == b"old"
    failed = riskmodel("backup", tmp_path / "copy.db", "--project", own.root, preexec_fn=small_disk)
    assert failed.returncode == 1 and "Traceback" not in failed.stderr and "Make room" in failed.stderr
    assert (tmp_path / "copy.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "list.xlsx", "project"]


def test_a_full_disk_while_results_come_in_records_nothing_and_loses_nothing(own, tmp_path):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(own, name, dt.date(2026, 1, 5), h0="no_risk")
    names = "cycle,list_hash,turn,household_id,visited_on,outcome,risk_1,risk_2,risk_3"
    header = f"{names},disagreement,visitor,note\n"
    rows = "".join(f"2026-01,{name},now,h{n},2026-01-06,no_risk,,,,,{n},{'长' * 400}\n" for n in range(1, 6))
    (tmp_path / "filled.csv").write_text(header + rows, encoding="utf-8")
    size = max(path.stat().st_size for path in (own.root / "casebook").iterdir())

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    failed = riskmodel("record", tmp_path / "filled.csv", "--project", own.root, preexec_fn=small_disk)
    assert size > 4096 and failed.returncode == 1 and "Nothing was recorded" in failed.stderr, failed.stderr
    book = Casebook.of(own)
    assert book.verifications()["household_id"].to_list() == ["h0"] and book.audit_faults() == []
    book.close()
    done = riskmodel("record", tmp_path / "filled.csv", "--project", own.root)
    assert "5 results recorded" in done.stdout and done.returncode == 0


def test_the_commands_print_what_the_functions_say(own, tmp_path):
    name = give_out(own, "2026-01", dt.date(2025, 12, 31))
    visit(own, name, dt.date(2026, 1, 5), h0=("no_risk", "record_wrong"))
    at = ("--project", own.root)
    assert riskmodel("cycles", *at).stdout.strip() == rm.cycles(project=own).text()
    assert riskmodel("recall", *at).stdout.strip() == rm.recall(project=own).text()
    assert riskmodel("disagreements", *at).stdout == "     1  登记数据有误 · the record is wrong\n"
    assert riskmodel("backup", tmp_path / "copy.db", *at).stdout.startswith(str(tmp_path / "copy.db"))
    assert "is closed" in riskmodel("close", "2026-01", "--by", "office", *at).stdout
    again = riskmodel("close", "2026-01", "--by", "office", *at)
    assert again.returncode == 1 and "closed already" in again.stderr and "Traceback" not in again.stderr
    assert riskmodel("close", "2026-01", *at).returncode == 2  # nobody closes a cycle without a name
    entries = pl.DataFrame(list(audit_entries(own)))
    assert entries.filter(pl.col("action") == "cycle closed")["actor"].to_list() == ["office"]


def audit_entries(project):
    from riskmodel.casebook.store import reading

    book = Casebook.of(project)
    with reading(book.engine) as connection:
        yield from audit.entries(connection)


def test_a_month_begins_and_a_quarter_ends_with_one_command_each(trained, county_folder, tmp_path):
    """`list` gives out the county's page and a workbook a township; `exits` gives the reviewers theirs."""
    from typer.testing import CliRunner

    from riskmodel.cli import app

    root = shutil.copytree(trained[0].root, tmp_path / "project")
    rest = ["--tables", str(county_folder), "--as-of", "2025-12-31", "--project", str(root)]
    given = CliRunner().invoke(
        app,
        [
            "list",
            *rest,
            "--capacity",
            "60",
            "--output",
            str(tmp_path / "list.html"),
            "--by-township",
            str(tmp_path / "lists"),
        ],
    )
    assert given.exit_code == 0, given.output
    row = rm.cycles(project=root).rows[0]
    assert (row.cycle, row.capacity, row.visited) == ("2026-01", 60, 0) and row.households >= 60
    names = sorted(path.name for path in (tmp_path / "lists").iterdir())
    assert names[0] == f"2026-01-{row.county_code}.xlsx" and len(names) > 2
    assert "核实优先级信号" in (tmp_path / "list.html").read_text("utf-8")
    reviewed = CliRunner().invoke(app, ["exits", *rest, "--output", str(tmp_path / "exits.xlsx")])
    assert reviewed.exit_code == 0 and "People decide." in reviewed.output, reviewed.output
    assert (tmp_path / "exits.xlsx").stat().st_size > 5000
