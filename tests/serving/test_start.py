"""A service starts with a good release whatever lies in its folder: the current one, or the newest other one
that passes, and says which and why.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from riskmodel.errors import ModelError
from riskmodel.files import write_text
from riskmodel.project import Project
from riskmodel.serving.metrics import Figures
from riskmodel.serving.probes import remarks
from riskmodel.serving.releases import choice, seal
from riskmodel.serving.scorer import Scorer, facts_of
from riskmodel.serving.state import ServiceState
from riskmodel.serving.swap import Watch
from riskmodel.serving.tally import Tally


@pytest.fixture
def home(two_models, tmp_path):
    """A copy of the project with two releases, free to be spoilt: (project, current folder, the other
    one).
    """
    project, _, first, second = two_models
    target = tmp_path / "project"
    shutil.copytree(project.root, target, ignore=shutil.ignore_patterns("mlruns", "casebook", "out"))
    return Project.find(target), target / "release" / first.name, target / "release" / second.name


def spoil(folder: Path) -> tuple[Path, bytes]:
    """Change one byte of its first tree member. Returns the file and what stood there."""
    path = folder / "model" / "model.json"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    return path, content


def test_a_good_current_release_is_opened_once_and_nothing_else_is_tried(home, monkeypatch):
    project, first, _ = home
    monkeypatch.setattr(
        choice, "try_release", lambda *_: pytest.fail("a trial costs seconds, and none is needed")
    )
    opened = []
    monkeypatch.setattr(
        choice,
        "open_release",
        lambda folder, trusted, really=choice.open_release: opened.append(folder) or really(folder, trusted),
    )
    chosen = choice.choose(project, seal.trusted_keys(project), 60)
    assert opened == [first] == [chosen.release.folder]
    assert chosen.not_taken is None


def test_with_a_damaged_current_release_the_other_one_serves_and_everything_says_so(home):
    project, first, second = home
    spoil(first)
    scorer = Scorer.open(project, Tally())
    assert scorer.release.folder == second
    assert scorer.not_taken.name == first.name
    assert facts_of(scorer).not_taken == {"release": first.name, "why": ["model.json: changed"]}
    assert str(project.root) not in json.dumps(facts_of(scorer).not_taken), (
        "who reads it need not know where it lies"
    )
    state = ServiceState()
    state.scorer = scorer
    figures = {
        metric.name: metric.samples[0].value
        for metric in Figures(state, scorer.tally).collect()
        if len(metric.samples) == 1
    }
    assert figures["riskmodel_release_not_taken"] == 1 and figures["riskmodel_releases_refused"] == 1
    day = scorer.release.valid_until
    assert len(remarks(scorer, day)) == 1 and "release/current" in remarks(scorer, day)[0]
    assert len(remarks(scorer, day + dt.timedelta(days=1))) == 2, (
        "and that its scores are past their day, where they are"
    )


@pytest.mark.parametrize("pointer", ["", "gone-2025-12-31", "../elsewhere", "\x00\x00"])
def test_a_pointer_that_leads_nowhere_is_a_fault_of_the_current_release_only(home, pointer):
    project, first, second = home
    write_text(project.root / "release" / "current", pointer)
    scorer = Scorer.open(project)
    assert scorer.release.folder in (first, second)
    assert scorer.not_taken is not None and scorer.not_taken.why == ["release: no release to serve"]


def test_the_newest_by_its_sealed_day_is_tried_first_and_a_bad_one_is_passed_over(home, monkeypatch):
    project, first, second = home
    spoil(first)
    older, newer = second.with_name("older"), second.with_name("newer")
    shutil.copytree(second, older)
    shutil.copytree(second, newer)
    os.utime(newer / "manifest.json")
    os.utime(older / "manifest.json", (1, 1))
    for folder, day in ((older, "2025-11-30"), (second, "2025-10-31"), (newer, "2025-12-31")):
        sealed_for(project, folder, day)
    tried = []

    def try_release(folder, *_):
        tried.append(folder)
        if folder == newer:
            raise ModelError("it died")

    monkeypatch.setattr(choice, "try_release", try_release)
    assert choice.choose(project, seal.trusted_keys(project), 60).release.folder == older
    assert tried == [newer, older]


def sealed_for(project: Project, folder: Path, day: str) -> None:
    """The folder under a good seal for another day: what only the holder of the key can make."""
    manifest = json.loads((folder / "manifest.json").read_text())
    content = json.dumps(manifest | {"as_of": day}).encode()
    at = (folder / "manifest.json").stat().st_mtime
    (folder / "manifest.json").write_bytes(content)
    os.utime(folder / "manifest.json", (at, at))
    (folder / "signature.json").write_text(json.dumps(seal.sign(content, seal.key_path(project))))


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b"\x00" * 9, b" " * 20_000_000], ids=["deeply nested", "zeros", "large"]
)
@pytest.mark.parametrize("name", ["signature.json", "manifest.json"])
def test_a_spoilt_folder_beside_it_keeps_no_good_older_release_from_serving(home, name, content, monkeypatch):
    project, first, second = home
    spoil(first)
    third = shutil.copytree(second, second.with_name("third"))
    (third / name).write_bytes(content)
    (first.parent / "a-link").symlink_to(second)
    monkeypatch.setattr(choice, "try_release", lambda *_: None)
    assert choice.choose(project, seal.trusted_keys(project), 60).release.folder == second


def test_a_pointer_longer_than_a_name_may_be_is_a_fault_of_the_current_release_only(home, monkeypatch):
    project, first, second = home
    write_text(project.root / "release" / "current", "x" * 300)
    monkeypatch.setattr(choice, "try_release", lambda *_: None)
    assert Scorer.open(project).release.folder in (first, second)


def test_nobody_brings_in_a_release_by_damaging_another(home):
    """An older or foreign folder is no way in: without a trusted seal it is not even tried."""
    project, first, second = home
    spoil(first)
    (second / "signature.json").write_text("{}")
    with pytest.raises(ModelError) as refusal:
        Scorer.open(project)
    named = {
        Path(fault.where).relative_to(project.root / "release").parts[0] for fault in refusal.value.faults
    }
    assert named == {first.name, second.name}, "every fault of each is named"


def test_the_current_release_is_taken_as_soon_as_it_has_been_mended_and_not_tried_before(home):
    project, first, _ = home
    path, content = spoil(first)
    stat = path.stat()
    scorer = Scorer.open(project)
    watch = Watch(scorer, project)
    assert watch.look() is False and scorer.tally.refused_releases == 1, (
        "nothing has changed since the start: not tried again"
    )
    path.write_bytes(content)
    os.utime(
        path, ns=(stat.st_atime_ns, stat.st_mtime_ns)
    )  # as a restored backup may come: size and time as they were
    assert watch.look() is True
    assert scorer.release.folder == first and scorer.not_taken is None
    assert scorer.tally.swaps == 1


def test_a_release_in_force_that_is_spoilt_on_disk_is_told_and_goes_on_from_memory(home):
    project, first, _ = home
    scorer = Scorer.open(project)
    release, watch = scorer.release, Watch(scorer, project)
    path, content = spoil(first)
    assert watch.look() is False
    assert scorer.release is release and scorer.not_taken.why == ["model.json: changed"]
    path.write_bytes(content)
    assert watch.look() is True and scorer.not_taken is None


def test_going_back_to_the_release_in_force_ends_the_warning_without_a_swap(home):
    project, first, second = home
    scorer = Scorer.open(project)
    watch = Watch(scorer, project)
    spoil(second)
    write_text(project.root / "release" / "current", second.name)
    assert watch.look() is False and scorer.not_taken.name == second.name
    write_text(project.root / "release" / "current", first.name)
    assert watch.look() is False and scorer.not_taken is None
    assert scorer.tally.swaps == 0 and scorer.tally.refused_releases == 1


def test_a_release_made_again_under_its_name_is_taken(home):
    project, first, _ = home
    scorer = Scorer.open(project)
    before, watch = scorer.release, Watch(scorer, project)
    shutil.copytree(first, first.with_name(".draft"))
    shutil.rmtree(first)
    assert watch.look() is False, "between two renames"
    first.with_name(".draft").rename(first)
    assert watch.look() is True and scorer.release is not before


def test_whatever_stands_in_a_sealed_file_is_a_fault_of_its_release_and_not_of_the_service(home):
    from tests.serving.test_release import sealed_again

    project, first, second = home
    for name, content in (
        ("golden.json", b"[]"),
        ("area_context.json", b"{"),
        ("reference.npz", b"PK"),
        ("policy.json", b'{"a": 1}'),
    ):
        whole = (first / name).read_bytes()
        (first / name).write_bytes(content)
        sealed_again(project, first)
        with pytest.raises(ModelError, match=first.name):
            choice.open_release(first, seal.trusted_keys(project))
        (first / name).write_bytes(whole)
    assert Scorer.open(project).release.folder == second


def started(project: Project) -> tuple[subprocess.Popen, str, Path]:
    """The real service: process, address, log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = project.root / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("riskmodel"),
                "serve",
                "--port",
                str(port),
                "--project",
                project.root,
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, f"http://127.0.0.1:{port}", log


def lines_of(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def waited(ask, seconds: float = 120.0):
    """The first true answer of `ask`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := ask():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail("it did not come")


def test_the_real_service_starts_beside_a_damaged_release_says_so_and_takes_it_when_mended(home):
    from riskmodel.casebook import Casebook
    from riskmodel.casebook.credentials import add_key

    project, first, second = home
    book = Casebook.of(project)
    key = add_key(book.engine, name="operator", role="operator", areas=[], purpose="tests").secret
    book.close()
    path, content = spoil(first)
    settings = project.root / "serving" / "screening.yaml"
    settings.write_text(settings.read_text().replace("watch_seconds: 5 ", "watch_seconds: 0.2 "))
    process, address, log = started(project)
    try:
        said = waited(lambda: (answer := httpx.get(f"{address}/readyz")).status_code == 200 and answer.text)
        assert "not the release that release/current names" in said
        line = next(line for line in lines_of(log) if line["level"] == "ERROR")
        assert (line["release"], line["meant"]) == (second.name, first.name) and "model.json" in line[
            "faults"
        ][0]
        headers = {"authorization": f"Bearer {key}"}
        card = httpx.get(f"{address}/v1/model", headers=headers).json()
        assert card["not_taken"] == {"release": first.name, "why": ["model.json: changed"]}
        assert "riskmodel_release_not_taken 1.0" in httpx.get(f"{address}/metrics", headers=headers).text
        path.write_bytes(content)
        waited(lambda: "not the release" not in httpx.get(f"{address}/readyz").text)
        assert (
            httpx.get(f"{address}/v1/model", headers=headers).json()["model_version"]
            == first.name.split("-")[0]
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_where_no_release_passes_the_service_refuses_to_start_with_every_fault_and_no_traceback(home):
    project, first, second = home
    spoil(first)
    spoil(second)
    process, _, log = started(project)
    assert process.wait(120) == 1
    text = log.read_text()
    assert "Traceback" not in text
    last = lines_of(log)[-1]
    assert last["level"] == "CRITICAL" and last["message"] == "the service does not start"
    assert [
        name
        for name in (first.name, second.name)
        if not any(name in fault and "model.json: changed" in fault for fault in last["faults"])
    ] == []
    assert all("expected" in fault and "Make the release again" in fault for fault in last["faults"])


def test_a_release_of_a_new_key_is_taken_when_the_key_is_trusted_without_touching_the_release(home):
    project, first, second = home
    scorer = Scorer.open(project)
    watch = Watch(scorer, project)
    key = seal.key_path(project)
    old = (project.root / "serving" / "trusted_keys.yaml").read_text()
    key.rename(key.with_name("old.pem"))
    seal.make_key(project)
    both = (project.root / "serving" / "trusted_keys.yaml").read_text()
    content = (second / "manifest.json").read_bytes()
    (second / "signature.json").write_text(json.dumps(seal.sign(content, key)))
    write_text(project.root / "serving" / "trusted_keys.yaml", old)
    write_text(project.root / "release" / "current", second.name)
    assert watch.look() is False and scorer.release.folder == first
    write_text(project.root / "serving" / "trusted_keys.yaml", both)
    assert watch.look() is True and scorer.release.folder == second
