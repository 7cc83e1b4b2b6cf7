"""Settings are read when the service starts and when it takes another release: whole, or not at all, and
never at a request.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil

import pytest

from riskmodel.files import write_text
from riskmodel.project import Project
from riskmodel.serving.releases import seal
from riskmodel.serving.releases.release import open_release
from riskmodel.serving.scorer import Scorer
from riskmodel.serving.state import ServiceState, SettingsInForce
from riskmodel.serving.swap import Watch
from riskmodel.settings import ScreeningSettings, load_settings
from tests.serving.conftest import AS_OF, CYCLE


@pytest.fixture
def running(two_models, tmp_path):
    """(state, watch, settings file, other release): a service that has started on the first of two
    releases.
    """
    project, _, first, second = two_models
    shutil.copytree(project.root, tmp_path / "project", ignore=shutil.ignore_patterns("mlruns"))
    home = Project.find(tmp_path / "project")
    scorer = Scorer(
        open_release(home.root / "release" / first.name, seal.trusted_keys(home)), load_settings(home).service
    )
    state = ServiceState()
    state.open(home, scorer)
    yield (
        state,
        Watch(scorer, home, state.take_settings),
        home.root / "serving" / "screening.yaml",
        second.name,
    )
    state.close()


@pytest.mark.parametrize(
    "change", [("valid_days: 92", "valid_days: ninety"), ("service:", "service:\n  surprise: 1"), None]
)
def test_a_settings_file_that_is_spoilt_while_the_service_runs_changes_no_answer(service, change):
    """Read at every request, a typo was a 503, and half a file was taken as a whole one."""
    path = service.county.project.root / "serving" / "screening.yaml"
    text = path.read_text()
    client = service.client(service.county.own["screener"])
    before = client.get(f"/v1/lists/{CYCLE}").content
    path.write_text(text.replace(*change) if change else text[: len(text) // 2])
    try:
        answer = client.get(f"/v1/lists/{CYCLE}")
        assert answer.status_code == 200 and answer.content == before
        assert client.get(f"/v1/households/{service.county.household()}").status_code == 200
    finally:
        path.write_text(text)


def test_changed_settings_come_into_force_with_the_next_release(running):
    state, watch, path, other = running
    before = state.settings
    path.write_text(re.sub(r"at_once: 64 ", "at_once: 7 ", path.read_text(), count=1))
    assert watch.look() is False and state.settings is before and state.bounds.settings.at_once == 64
    write_text(watch.project.root / "release" / "current", other)
    assert watch.look() is True
    assert state.settings.hash != before.hash and state.settings.screening.service.at_once == 7
    assert state.bounds.settings.at_once == watch.scorer.settings.at_once == 7


def test_a_faulty_settings_file_keeps_the_old_release_and_the_old_settings_until_it_is_mended(running):
    state, watch, path, other = running
    text, before, release = path.read_text(), state.settings, watch.scorer.release
    path.write_text(text.replace("at_once: 64 ", "at_once: many "))
    write_text(watch.project.root / "release" / "current", other)
    assert watch.look() is False
    assert state.settings is before and watch.scorer.release is release
    assert (
        "screening.yaml" in watch.scorer.not_taken.faults[0].where
        and watch.scorer.tally.refused_releases == 1
    )
    assert watch.look() is False and watch.scorer.tally.refused_releases == 1, (
        "not tried again while nothing has changed"
    )
    path.write_text(text)
    assert (
        watch.look() is True and watch.scorer.release.folder.name == other and watch.scorer.not_taken is None
    )


def test_the_model_card_has_the_hash_of_the_settings_in_force(service):
    card = service.client(service.county.own["screener"]).get("/v1/model").json()
    settings = load_settings(service.county.project)
    assert card["settings_hash"] == SettingsInForce.of(settings).hash
    other = settings.model_copy(update={"capacity": settings.capacity + 1})
    assert SettingsInForce.of(other).hash != card["settings_hash"]
    assert (
        SettingsInForce.of(ScreeningSettings.model_validate(settings.model_dump())).hash
        == card["settings_hash"]
    )


@pytest.mark.parametrize(("days", "until"), [(731, "2026-04-02"), (92, "2026-04-02"), (10, "2026-01-10")])
def test_valid_days_of_the_settings_never_reach_beyond_the_seal(service, days, until):
    """The release is sealed with 92 days: an operator may shorten them, not lengthen them."""
    state, before = service.state, service.state.settings
    changed = before.screening.service.model_copy(update={"valid_days": days})
    state.take_settings(before.screening.model_copy(update={"service": changed}))
    try:
        assert state.valid_until(dt.date.fromisoformat(AS_OF)).isoformat() == until
        client = service.client(service.county.own["screener"])
        assert client.get(f"/v1/lists/{CYCLE}").json()["valid_until"] == until
    finally:
        state.take_settings(before.screening)
