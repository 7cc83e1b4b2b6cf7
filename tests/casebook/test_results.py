"""Results in force: corrections, older files, withdrawals, contradictions, late visits; the same for every
reader, on SQLite and PostgreSQL.
"""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from sqlalchemy import select

import riskmodel as rm
from riskmodel.casebook import Casebook
from riskmodel.casebook.results import chain_of, visit_in_words
from riskmodel.casebook.schema import audit as audit_table
from riskmodel.casebook.schema import drawn_from, list_rows, lists
from riskmodel.casebook.store import reading, writing
from riskmodel.errors import UserError
from riskmodel.settings import Leads, ScreeningSettings, load_settings, today
from riskmodel.tables import from_frames
from riskmodel.visits.forms import team_key
from riskmodel.visits.leads import household_states
from riskmodel.visits.returns import Result
from tests.casebook.test_record import AS_OF, county, fill, fine, found, household, own, scores, visits  # noqa: F401
from tests.casebook.test_steps import give_out, riskmodel

JANUARY, FEBRUARY = "0" * 64, "2" * 64


def result(name="h1", outcome="no_risk", team="T1", day="2026-01-05", kinds="", note="", on=JANUARY, line=4):
    kinds = kinds or ("illness" if outcome == "risk_confirmed" else "")
    day = dt.date.fromisoformat(day)
    return Result(
        line=line,
        list_hash=on,
        household_id=name,
        visited_on=day,
        outcome=outcome,
        risk_kinds=kinds,
        disagreement="",
        visitor=team,
        note=note,
    )


def take(book, *results, known="2026-01-06"):
    return book.take_in(results, known_on=dt.date.fromisoformat(known), by="tester")


def outcomes(book):
    """The newest version of each event, as the tables get it."""
    table = book.verifications().sort("known_on").unique("event_id", keep="last", maintain_order=True)
    return dict(table.select("household_id", "outcome").iter_rows())


@pytest.fixture
def drawn(book):
    """The list of 99 households with four more, o0 to o3, that were drawn for random checks with a chance of
    a half, of eight.
    """
    with writing(book.engine) as connection:
        check = {
            "list_hash": JANUARY,
            "grade": "none",
            "listed_as": "random_check",
            "inclusion_probability": 0.5,
            "content": "{}",
            "stratum": "t/1",
        }
        connection.execute(
            list_rows.insert(),
            [check | {"household_id": f"o{n}", "number": 200 + n, "place": 200 + n} for n in range(4)],
        )
        one = {"list_hash": JANUARY, "probability": 0.01, "stratum": "t/1", "inclusion_probability": 0.5}
        connection.execute(
            drawn_from.insert(), [one | {"household_id": f"o{n}", "drawn": n < 4} for n in range(8)]
        )
        connection.execute(
            list_rows.update().where(list_rows.c.content == "{}").values(content='{"probability": 0.1}')
        )
    return book


def later_list(book, as_of=dt.date(2026, 1, 31), cycle="2026-02", name=FEBRUARY, **listed_as):
    """Another list, on which households are for the reasons given: o0="lead"."""
    from riskmodel.casebook import audit
    from riskmodel.casebook.schema import cycles

    with writing(book.engine) as connection:
        opened = {"county_code": "522301", "cycle": cycle, "opened_at": audit.now()}
        connection.execute(cycles.insert().values(opened))
        head = {
            "list_hash": name,
            "county_code": "522301",
            "cycle": cycle,
            "as_of": as_of,
            "capacity": 9,
            "model_version": "m",
        }
        head |= {"settings": "{}", "notes": "[]", "issued_at": audit.now(), "issued_number": int(name[0])}
        connection.execute(lists.insert().values(head))
        row = {
            "list_hash": name,
            "grade": "none",
            "inclusion_probability": 1.0,
            "content": '{"probability": 0.1}',
        }
        connection.execute(
            list_rows.insert(),
            [
                row | {"household_id": household, "listed_as": why, "number": n, "place": n}
                for n, (household, why) in enumerate(listed_as.items())
            ],
        )


def test_a_confirmation_that_its_team_corrected_is_counted_by_no_reader(drawn):
    """Four random checks, one confirmed by a slip and corrected by the same team: none of four is
    confirmed.
    """
    take(drawn, *(result(f"o{n}", "risk_confirmed" if n == 0 else "no_risk") for n in range(4)))
    assert drawn.recall(JANUARY).checks_confirmed == 1
    corrected = take(drawn, result("o0"), known="2026-01-07")
    assert (corrected.accepted, corrected.corrected) == (1, 1)
    found = drawn.recall(JANUARY)
    assert (found.checks, found.checks_confirmed) == (4, 0)
    assert outcomes(drawn)["o0"] == "no_risk" and "risk_confirmed" not in outcomes(drawn).values()
    take(drawn, result("o1", "unreachable"), known="2026-01-08")
    assert drawn.recall(JANUARY).checks == 3  # a visit that met nobody is no look


def test_an_older_file_that_is_handed_in_again_undoes_no_correction(book):
    slip, right = result(outcome="risk_confirmed"), result()
    take(book, slip)
    take(book, right, known="2026-01-07")
    again = take(book, slip, result("h2"), known="2026-01-08")
    assert (again.accepted, again.corrected, again.unchanged) == (1, 0, 0)
    (told,) = again.superseded
    assert (told.household_id, told.since, told.withdrawn) == ("h1", dt.date(2026, 1, 7), False)
    assert "was corrected on 2026-01-07" in told.reasons[1] and "更正" in told.reasons[0]
    assert outcomes(book)["h1"] == "no_risk"
    on_purpose = take(book, result(outcome="risk_confirmed", note="复核后确有风险"), known="2026-01-09")
    assert (on_purpose.accepted, on_purpose.corrected) == (1, 1) and outcomes(book)["h1"] == "risk_confirmed"


def test_an_older_workbook_is_counted_row_by_row_and_changes_nothing(own, visits, tmp_path):  # noqa: F811
    older = fill(visits, tmp_path / "f1.xlsx", {1: found(走访组="T1"), 2: fine(走访组="T1")})
    rm.record(older, project=own)
    rm.record(fill(visits, tmp_path / "f2.xlsx", {1: fine(走访组="T1")}), project=own)
    before = Casebook.of(own).verifications()
    said = rm.record(older, project=own)
    assert (said.accepted, said.unchanged, len(said.superseded), said.open) == (0, 1, 1, 8)
    assert "0 results recorded" in said.text() and "1 corrected or withdrawn since" in said.text()
    assert Casebook.of(own).verifications().equals(before)


@pytest.mark.parametrize("code", ["T2", "t2", "Ｔ２", " T 2 "])
def test_team_codes_are_compared_without_width_case_and_blanks(book, code):
    assert team_key(code) == "t2" and team_key("2 组") == team_key("2组")
    take(book, result(team="T2", outcome="risk_confirmed"))
    corrected = take(book, result(team=code), known="2026-01-07")
    assert (corrected.corrected, corrected.conflicts) == (1, ())
    assert book.verifications()["event_id"].n_unique() == 1


def test_a_result_without_a_team_is_corrected_by_the_next_one_without_a_team(book):
    take(book, result(team="", outcome="risk_confirmed"))
    corrected = take(book, result(team=""), known="2026-01-07")
    assert (corrected.corrected, corrected.conflicts) == (1, ()) and outcomes(book) == {"h1": "no_risk"}


def test_a_visit_on_the_wrong_household_is_withdrawn_and_counts_nowhere(drawn):
    take(drawn, result("o0", "risk_confirmed"), result("h1", "risk_confirmed"))
    said = drawn.withdraw("o0", "2026-01", reason="走访的是邻户", by="office", on=dt.date(2026, 1, 9))
    assert "2026-01-05" in str(said) and drawn.recall(JANUARY).checks == 0
    assert outcomes(drawn) == {"o0": "unreachable", "h1": "risk_confirmed"}
    then = drawn.verifications().filter(pl.col("household_id") == "o0").sort("known_on")
    assert then["outcome"].to_list() == [
        "risk_confirmed",
        "unreachable",
    ]  # what was known on the day stays known
    assert then["known_on"].to_list() == [dt.date(2026, 1, 6), dt.date(2026, 1, 9)]
    again = take(drawn, result("o0", "risk_confirmed"), known="2026-01-10")
    assert again.accepted == 0 and again.superseded[0].withdrawn
    anew = take(drawn, result("o0", day="2026-01-10"), known="2026-01-10")
    assert anew.accepted == 1 and outcomes(drawn)["o0"] == "no_risk"
    with reading(drawn.engine) as connection:
        entry = connection.execute(
            select(audit_table).where(audit_table.c.action == "result withdrawn")
        ).one()
    assert (entry.actor, entry.subject) == ("office", "o0") and "邻户" not in entry.details


def test_a_result_that_was_withdrawn_on_the_day_it_came_was_never_known(book):
    take(book, result(outcome="risk_confirmed"))
    book.withdraw("h1", "2026-01", reason="wrong household", by="office", on=dt.date(2026, 1, 6))
    assert book.verifications().height == 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"household_id": "h9"}, "no result in force"),
        ({"cycle": "2026-07"}, "no result in force"),
        ({"reason": "  "}, "0 characters"),
        ({"reason": "电话13812345678"}, "no name and no number"),
        ({"team": "T9"}, "no result in force"),
        ({}, "results of 2 teams; expected one result in force. Name the team: T1, T2"),
    ],
)
def test_what_cannot_be_withdrawn_is_refused_in_words(book, change, fault):
    take(book, result(), result(team="T2"))
    asked = {
        "household_id": "h1",
        "cycle": "2026-01",
        "reason": "wrong",
        "by": "office",
        "on": dt.date(2026, 1, 9),
    }
    with pytest.raises(UserError, match=fault):
        book.withdraw(**asked | change)
    assert len(outcomes(book)) == 1
    book.withdraw(**asked, team=" t１")
    with pytest.raises(UserError, match="no result in force"):
        book.withdraw(**asked, team="T1")


@pytest.mark.parametrize(
    ("second", "clear"),
    [
        ("risk_confirmed", "withdraw"),
        ("risk_confirmed", "correct"),
        ("risk_eliminated", "correct"),
    ],
)
def test_contradictory_results_make_nobody_monitored_until_they_are_cleared(book, second, clear):
    """Two teams disagree on 7 January: from that day their results decide nothing; what is cleared up counts
    from that day on.
    """
    take(book, result(team="T1"))
    made = take(book, result(team="T2", outcome=second, day="2026-01-06"), known="2026-01-07")
    assert [conflict.household_id for conflict in made.conflicts] == ["h1"]
    tables = home_of("h1", book)
    day = dt.date(2026, 1, 8)
    assert (
        household_states(tables, day)["monitored"].to_list() == [False]
        and household_states(tables, day)["last_visit"].is_null().all()
    )
    assert household_states(tables, dt.date(2026, 1, 6))["last_outcome"].to_list() == ["no_risk"]
    if clear == "withdraw":
        book.withdraw("h1", "2026-01", team="T1", reason="wrong house", by="office", on=dt.date(2026, 1, 9))
    else:
        take(book, result(team="T1", outcome=second, day="2026-01-08"), known="2026-01-09")
    tables = home_of("h1", book)
    monitored = second == "risk_confirmed"
    assert household_states(tables, dt.date(2026, 1, 9))["monitored"].to_list() == [monitored]
    assert household_states(tables, dt.date(2026, 1, 8))["monitored"].to_list() == [False]


def home_of(name, book):
    """Tables with one household, one member and the casebook's results of it."""
    base = county(1).frames
    frames = {
        "households": base["households"].drop("replaced_on").with_columns(household_id=pl.lit(name)),
        "members": base["members"].drop("replaced_on").with_columns(household_id=pl.lit(name)),
    }
    return book.with_results(from_frames(frames))


def test_a_contradiction_counts_neither_in_recall_nor_as_a_label(drawn):
    take(drawn, result("o0", team="T1"), result("o0", "risk_confirmed", team="T2"), result("o1"))
    found = drawn.recall(JANUARY)
    assert (found.checks, found.checks_confirmed) == (1, 0)


def test_a_cycle_with_a_contradiction_closes_only_when_it_is_cleared_or_waived_by_name(book):
    take(
        book,
        result(),
        result("h1", "risk_confirmed", team="T2"),
        result("h2"),
        result("h2", "risk_confirmed", team="T2"),
    )
    close = {"by": "office"}
    with pytest.raises(UserError) as refused:
        book.close_cycle("522301", "2026-01", **close)
    assert len(refused.value.faults) == 2 and "h1: visited on 2026-01-05 (team T1)" in str(refused.value)
    with pytest.raises(UserError, match="h2") as left:
        book.close_cycle("522301", "2026-01", waive={"h1": "第三次走访已约定"}, **close)
    assert len(left.value.faults) == 1
    for waive in (
        {"h1": "a", "h2": " "},
        {"h1": "a", "h2": "b", "h3": "c"},
        {"h1": "a", "h2": "13812345678"},
    ):
        with pytest.raises(UserError, match="waive h"):
            book.close_cycle("522301", "2026-01", waive=waive, **close)
    book.withdraw("h2", "2026-01", team="T2", reason="wrong household", by="office", on=dt.date(2026, 1, 9))
    book.close_cycle("522301", "2026-01", waive={"h1": "第三次走访已约定"}, **close)
    with reading(book.engine) as connection:
        entry = connection.execute(select(audit_table).where(audit_table.c.action == "cycle closed")).one()
    assert "第三次走访已约定" in entry.details
    # Closing ends corrections. A visit on a household that was never visited can still be taken back.
    book.withdraw("h1", "2026-01", team="T2", reason="wrong household", by="office", on=dt.date(2026, 2, 9))
    newest = book.verifications().sort("known_on").unique("event_id", keep="last").filter(household_id="h1")
    assert sorted(newest["outcome"]) == ["no_risk", "unreachable"]


@pytest.mark.parametrize(
    ("day", "checks"),
    [("2025-12-30", 0), ("2025-12-31", 1), ("2026-04-03", 1), ("2026-04-04", 0), ("2027-07-01", 0)],
)
def test_a_random_check_counts_for_its_draw_up_to_the_end_of_carry_over(drawn, day, checks):
    """As of 31 December, carried over twice by month at most: 3 cycles of 31 days, 93 days, to 3 April."""
    take(drawn, result("o0", "risk_confirmed", day=day), known="2027-07-01")
    assert drawn.recall(JANUARY).checks == checks


@pytest.mark.parametrize(
    ("listed_as", "checks"), [("random_check", 1), ("lead", 0), ("model", 0), ("standby", 0)]
)
def test_only_a_check_that_was_carried_over_counts_from_a_later_list(drawn, listed_as, checks):
    later_list(drawn, o0=listed_as)
    take(drawn, result("o0", "risk_confirmed", day="2026-02-05", on=FEBRUARY), known="2026-02-06")
    assert drawn.recall(JANUARY).checks == checks


def test_a_listed_household_counts_from_a_later_list_within_the_same_limit(drawn):
    later_list(drawn, h1="model")
    take(drawn, result("h1", "risk_confirmed", day="2026-02-05", on=FEBRUARY), known="2026-02-06")
    assert drawn.checks(JANUARY).filter(household_id="h1")["label"].to_list() == [1]


def test_a_visit_of_december_that_comes_in_january_counts_on_januarys_list(book):
    """Ten visits of 30 December, handed in on 5 January for the list as of 30 November."""
    before = "3" * 64
    listed = {f"h{n}": "model" for n in range(10)}
    later_list(book, dt.date(2025, 11, 30), "2025-12", before, **listed)
    late = [result(name, team="8", day="2025-12-30", on=before) for name in listed]
    take(book, *late, known="2026-01-05")
    december, january = cycles(book)
    assert (december.visited, january.visited, january.households) == (10, 10, 99)


@pytest.mark.parametrize(
    ("day", "known", "counts"),
    [
        (
            "2025-12-30",
            "2025-12-31",
            0,
        ),  # known when the list was made: the list chose to see the household all the same
        ("2025-12-30", "2026-01-05", 1),
        ("2025-10-03", "2026-01-05", 1),  # 89 days before
        ("2025-10-02", "2026-01-05", 0),  # 90 days before: longer ago than a visit keeps a household quiet
        ("2026-01-31", "2026-02-05", 1),
        ("2026-02-01", "2026-02-05", 0),  # after the cycle
    ],
)
def test_which_visits_of_another_cycle_count_on_a_list(book, day, known, counts):
    other = "3" * 64
    later_list(book, dt.date(2025, 9, 30), "2025-10", other, h1="model")
    take(book, result(day=day, on=other), known=known)
    assert next(row for row in cycles(book) if row.cycle == "2026-01").visited == counts


def cycles(book):
    from riskmodel.casebook.cycles import cycles_of

    return cycles_of(book).rows


def test_making_a_list_says_how_many_results_came_too_late_for_it(own, visits, tmp_path):  # noqa: F811
    from riskmodel.casebook import next_list, record

    done = {row: fine("2026-01-30") for row in range(1, 6)} | {6: fine("2026-01-30", outcome="未能见到")}
    record(own, fill(visits, tmp_path / "a.xlsx", done), today=dt.date(2026, 2, 4))
    made = next_list(own, scores(dt.date(2026, 1, 31)), county(), dt.date(2026, 1, 31), capacity=10)
    zh, en = made.notes[-1]
    assert zh.startswith("另有5户在2026-01-31（含）前已走访") and en.startswith(
        "5 households were visited up to 2026-01-31"
    )
    assert en in made.summary()
    in_time = next_list(own, scores(dt.date(2026, 2, 28)), county(), dt.date(2026, 2, 28), capacity=10)
    assert not any("came in later" in note for _, note in in_time.notes)


@pytest.mark.parametrize(
    ("team", "outcome", "zh", "en"),
    [
        (
            "8",
            "no_risk",
            "12月30日已走访（8组）：未发现风险",
            "visited on 2025-12-30 (team 8): no risk found",
        ),
        (
            "2组",
            "no_risk",
            "12月30日已走访（2组）：未发现风险",
            "visited on 2025-12-30 (team 2组): no risk found",
        ),
        (
            "",
            "risk_confirmed",
            "12月30日已走访：存在风险，建议纳入监测程序",
            "visited on 2025-12-30: risk found, proposed for monitoring",
        ),
        ("8", "unreachable", "12月30日已上门（8组）：未能见到", "called on 2025-12-30 (team 8): nobody met"),
    ],
)
def test_a_visit_reads_the_same_everywhere(team, outcome, zh, en):
    assert visit_in_words(dt.date(2025, 12, 30), team, outcome) == (zh, en)


def test_recall_of_too_few_checks_says_so_and_nothing_else(drawn):
    take(drawn, *(result(f"o{n}", "risk_confirmed" if n < 2 else "no_risk") for n in range(4)), result("h1"))
    found = drawn.recall(JANUARY)
    assert found.text() == "Too few checks."
    assert set(found.table()["status"]) == {"too few checks"} and found.table()["value"].isna().all()


def test_no_single_household_can_be_worked_out_from_two_answers_of_recall(own_project):
    """Two months of checks, then the same with one household more: the words are the same, as counts go by
    fives.
    """
    texts = []
    for confirmed in (5, 6):
        name = give_out(own_project, f"2026-0{confirmed}", dt.date(2026, confirmed, 1), outside=160)
        drawn = {f"o{n}": "risk_confirmed" if n < 40 else "no_risk" for n in range(0, 160, 4)}
        take_in = [
            result(one, outcome, on=name, day=f"2026-0{confirmed}-05") for one, outcome in drawn.items()
        ]
        take_in.append(result("h0", on=name, day=f"2026-0{confirmed}-05"))
        book = Casebook.of(own_project)
        take(book, *take_in, known=f"2026-0{confirmed}-06")
        texts.append(book.recall(name).text())
        if confirmed == 6:
            book.withdraw("o44", "2026-06", reason="wrong household", by="office", on=dt.date(2026, 6, 7))
            texts.append(book.recall(name).text())
        book.close()
    assert texts[0].startswith(
        "About 40 households outside the lists were looked at by chance, about 10 of them"
    )
    assert texts[1].splitlines()[0] == texts[2].splitlines()[0]  # 40 and 39 checks
    assert "[" in texts[0] and "%" in texts[0]


def test_today_is_the_countys_on_a_host_in_another_zone(monkeypatch):
    """20:00 UTC on 4 January is 04:00 on the 5th in Shanghai: a visit of that morning is no visit of
    tomorrow.
    """
    import riskmodel.settings as module

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2026, 1, 4, 20, 0, tzinfo=dt.UTC).astimezone(tz)

    monkeypatch.setattr(module.dt, "datetime", Clock)
    assert today(ScreeningSettings()) == dt.date(2026, 1, 5)
    assert today(ScreeningSettings(timezone="America/New_York")) == dt.date(2026, 1, 4)


def test_an_unknown_time_zone_is_refused_with_file_and_line(own):  # noqa: F811
    path = own.root / "serving" / "screening.yaml"
    path.write_text(path.read_text("utf-8").replace("Asia/Shanghai", "Asia/Nowhere"), encoding="utf-8")
    with pytest.raises(UserError, match=r"screening.yaml.*no time zone of that name"):
        load_settings(own)


def test_the_commands_withdraw_and_close_with_a_waiver(own_project):
    name = give_out(own_project, "2026-01", dt.date(2025, 12, 31))
    book = Casebook.of(own_project)
    take(book, result("h0", on=name), result("h0", "risk_confirmed", team="T2", on=name))
    book.close()
    at = ("--project", own_project.root)
    refused = riskmodel("close", "2026-01", "--by", "office", *at)
    assert refused.returncode == 1 and "--waive h0=REASON" in refused.stderr
    shown = riskmodel("cycles", *at).stdout
    assert "contradiction, please clear it up: h0: visited on 2026-01-05 (team T1): no risk found" in shown
    asked = ("withdraw", "h0", "--cycle", "2026-01", "--by", "office", "--because", "wrong household")
    assert "Name the team: T1, T2" in riskmodel(*asked, *at).stderr
    said = riskmodel(*asked, "--team", "t2", *at)
    assert said.stdout.startswith("Withdrawn: h0: visited on 2026-01-05 (team T2)"), said.stderr
    assert "contradiction" not in riskmodel("cycles", *at).stdout
    assert "is closed" in riskmodel("close", "2026-01", "--by", "office", *at).stdout


def test_results_of_the_form_before_are_put_into_chains(tmp_path):
    """A casebook of form 0002: T2 and t2 of one household become one chain, whose newest result counts;
    nothing is lost.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    from riskmodel.casebook.store import connect

    url = f"sqlite:///{tmp_path / 'casebook.db'}"
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", "riskmodel.casebook:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text("INSERT INTO cycles VALUES ('522301', '2026-01', 'now', NULL)"))
        connection.execute(
            text(
                "INSERT INTO lists VALUES ('h', '522301', '2026-01', '2025-12-31', 1, 'm', '{}', '[]', "
                "'now', 1, NULL, NULL)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO list_rows VALUES ('h', 'h1', 1, 0, '522301100', '522301100200', 'none', "
                "'model', NULL, 1.0, '{}', NULL)"
            )
        )
        for number, (team, outcome) in enumerate([("T2", "risk_confirmed"), ("ｔ２", "no_risk")]):
            connection.execute(
                text(
                    "INSERT INTO visits (event_id, version, content_hash, list_hash, household_id, "
                    "visited_on, known_on, recorded_at, recorded_by, origin, outcome, risk_kinds, "
                    "disagreement, visitor, note) VALUES (:event, 1, 'c', 'h', 'h1', '2026-01-05', :known, "
                    "'now', 'a', 'screening', :outcome, '', '', :team, '')"
                ),
                {
                    "event": f"visit-{team}",
                    "known": f"2026-01-0{6 + number}",
                    "team": team,
                    "outcome": outcome,
                },
            )
    engine.dispose()
    book = Casebook(connect(make_url(url)))
    with reading(book.engine) as connection:
        chains = connection.execute(text("SELECT DISTINCT chain FROM visits")).scalars().all()
    assert chains == [chain_of("522301", "2026-01", "h1", "T2")]
    table = book.verifications().sort("known_on")
    assert table["outcome"].to_list() == ["risk_confirmed", "no_risk"] and set(table["event_id"]) == {
        "visit-T2"
    }
    corrected = take(
        book, Result(4, "h", "h1", dt.date(2026, 1, 8), "no_risk", "", "", "T2", ""), known="2026-01-09"
    )
    assert corrected.corrected == 1
    with pytest.raises(Exception, match="append-only"), writing(book.engine) as connection:
        connection.execute(text("UPDATE visits SET outcome = 'no_risk'"))


def test_the_settings_of_a_list_keep_its_name_whatever_the_time_zone(own, visits):  # noqa: F811
    from dataclasses import replace

    moved = replace(visits, settings=visits.settings.model_copy(update={"timezone": "Asia/Urumqi"}))
    assert moved.hash == visits.hash
    assert (
        replace(visits, settings=visits.settings.model_copy(update={"leads": Leads(rule_share=0.1)})).hash
        != visits.hash
    )
