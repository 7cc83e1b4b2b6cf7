"""A release is served only with its seal whole, by a key that is trusted, after it has proved itself in a
process of its own; a bad one never harms.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import riskmodel as rm
from riskmodel.errors import ModelError
from riskmodel.files import write_text
from riskmodel.serving.releases import seal
from riskmodel.serving.releases.release import newest_release, open_release, verify
from riskmodel.serving.releases.trial import try_release
from riskmodel.serving.scorer import Scorer
from riskmodel.serving.swap import Watch

FAULTS = 200  # of each kind, as promised


@pytest.fixture
def home(trained, tmp_path):
    """The trained project with a sealed release, free to be spoilt."""
    from riskmodel.project import Project

    target = tmp_path / "project"
    shutil.copytree(trained[0].root, target, ignore=shutil.ignore_patterns("mlruns", "casebook", "out"))
    return Project.find(target)


def sealed_again(project, folder):
    """The folder with a new manifest and a good signature over whatever is in it now: what only the holder of
    the key can make.
    """
    from riskmodel.serving.releases.release import FORMAT, MANIFEST, SIGNATURE, _hashes

    manifest = json.loads((folder / MANIFEST).read_text())
    content = json.dumps(
        {**manifest, "format": FORMAT, "files": _hashes(folder)}, indent=1, sort_keys=True
    ).encode()
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_text(json.dumps(seal.sign(content, seal.key_path(project))))


def test_a_release_holds_what_it_says_and_no_pickle(home):
    folder = newest_release(home)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names >= {
        "manifest.json",
        "signature.json",
        "golden.json",
        "explanation_tables.npz",
        "reference.npz",
        "area_context.json",
        "policy.json",
        "model/model.json",
        "model/member_0.txt",
        "features/catalogue.yaml",
        "serving/screening.yaml",
    }
    assert not [name for name in names if name.endswith((".pem", ".pkl", ".joblib")) or "trusted" in name]
    for path in folder.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                assert stored[name].dtype != object
    assert len(json.loads((folder / "golden.json").read_text())) == 20


def test_the_private_key_is_readable_by_its_owner_only_and_lies_outside_every_release(home):
    path = seal.key_path(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "release" not in path.relative_to(home.root).parts
    with pytest.raises(ModelError, match="there is a key already"):
        seal.make_key(home)
    path.chmod(0o644)
    with pytest.raises(ModelError, match="others can read it"):
        seal.sign(b"", path)


def test_without_a_key_nothing_is_released_and_the_refusal_says_how_to_make_one(trained, home, monkeypatch):
    monkeypatch.setenv("RISKMODEL_RELEASE_KEY", str(home.root / "nowhere.pem"))
    with pytest.raises(ModelError, match=r"no key to sign with.*riskmodel release-key"):
        rm.release(trained[1], "2025-12-31", project=trained[0])


def test_an_unsigned_release_and_one_signed_with_a_foreign_key_are_refused(home, tmp_path):
    folder, trusted = newest_release(home), seal.trusted_keys(home)
    open_release(folder, trusted)
    with pytest.raises(ModelError, match="a key that is trusted here \\(none"):
        open_release(folder, {})
    signature = folder / "signature.json"
    good = signature.read_text()
    signature.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        open_release(folder, trusted)
    from riskmodel.project import Project, start_project

    stranger = Project.find(start_project(tmp_path / "stranger", home.root))
    os.environ.pop("RISKMODEL_RELEASE_KEY", None)
    (stranger.root / "serving" / "trusted_keys.yaml").unlink(missing_ok=True)
    seal.make_key(stranger)
    foreign = seal.sign((folder / "manifest.json").read_bytes(), seal.key_path(stranger))
    signature.write_text(json.dumps(foreign))
    with pytest.raises(ModelError, match=f"signed with the key {foreign['key']}"):
        open_release(folder, trusted)
    signature.write_text(json.dumps(foreign | {"key": json.loads(good)["key"]}))
    with pytest.raises(ModelError, match="does not fit the manifest"):
        open_release(folder, trusted)
    signature.write_text(good)
    open_release(folder, trusted)


def test_trusted_keys_come_from_the_file_and_from_the_environment(home, monkeypatch):
    ((name, public),) = seal.trusted_keys(home).items()
    (home.root / "serving" / "trusted_keys.yaml").unlink()
    assert seal.trusted_keys(home) == {}
    monkeypatch.setenv("RISKMODEL_TRUSTED_KEYS", base64.b64encode(public).decode())
    assert seal.trusted_keys(home) == {name: public}
    monkeypatch.setenv("RISKMODEL_TRUSTED_KEYS", "no key at all")
    with pytest.raises(ModelError, match="what is no key"):
        seal.trusted_keys(home)


def test_every_changed_missing_or_foreign_file_of_a_release_is_named_and_nothing_is_loaded(home, monkeypatch):
    folder, trusted = newest_release(home), seal.trusted_keys(home)
    (folder / "extra.txt").write_text("x")
    (folder / "policy.json").unlink()
    model = next((folder / "model").glob("*.txt"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    monkeypatch.setattr("riskmodel.training.model.Model.load", lambda *_: pytest.fail("something was loaded"))
    with pytest.raises(ModelError) as caught:
        open_release(folder, trusted)
    assert sorted((Path(fault.where).name, fault.found) for fault in caught.value.faults) == sorted(
        [("extra.txt", "foreign"), ("policy.json", "missing"), (model.name, "changed")]
    )


def spoilt(content: bytes, kind: str, draw: np.random.Generator) -> bytes:
    place = int(draw.integers(len(content)))
    if kind == "truncated":
        return content[:place]
    return content[:place] + bytes([content[place] ^ (1 << int(draw.integers(8)))]) + content[place + 1 :]


@pytest.mark.parametrize("kind", ["truncated", "flipped"])
def test_no_truncated_file_and_no_flipped_bit_of_a_release_is_loaded_and_the_old_one_serves(
    home, kind, caplog
):
    good = newest_release(home)
    scorer = Scorer(open_release(good, seal.trusted_keys(home)))
    release = scorer.release
    watch = Watch(scorer, home)
    draw = np.random.default_rng(8)
    bad = shutil.copytree(good, good.with_name("bad"))
    write_text(good.parent / "current", "bad")
    names = sorted(path.relative_to(bad) for path in bad.rglob("*") if path.is_file())
    logging.getLogger("riskmodel").propagate = True
    for turn in range(FAULTS):
        name = names[turn % len(names)]
        content = (good / name).read_bytes()
        (bad / name).write_bytes(spoilt(content, kind, draw))
        os.utime(bad / "manifest.json", (turn + 1, turn + 1))
        assert watch.look() is False, name
        assert scorer.release is release
        with pytest.raises(ModelError):
            verify(bad, seal.trusted_keys(home))
        (bad / name).write_bytes(content)
    assert scorer.tally.refused_releases == FAULTS
    assert scorer.tally.swaps == 0


def test_a_model_text_that_aborts_or_scores_otherwise_under_a_good_seal_dies_in_its_trial(home):
    """Only whoever holds the key can make such a release; even that does not reach the process that
    serves.
    """
    good = newest_release(home)
    trusted = seal.trusted_keys(home)
    for kind in ("cut", "other leaf", "other golden row"):
        bad = shutil.copytree(good, good.with_name("bad"))
        if kind == "other golden row":
            rows = json.loads((bad / "golden.json").read_text())
            rows[3]["margin"] += 1e-12
            (bad / "golden.json").write_text(json.dumps(rows))
        else:
            model = bad / "model" / "member_0.txt"
            text = model.read_text()
            if kind == "cut":
                text = text[: len(text) // 2]
            else:
                line = next(line for line in text.splitlines() if line.startswith("leaf_value="))
                text = text.replace(
                    line, "leaf_value=" + " ".join(str(float(value) + 0.25) for value in line[11:].split())
                )
            model.write_text(text)
            stated = json.loads((bad / "model" / "model.json").read_text())
            import hashlib

            stated["files"]["member_0.txt"] = hashlib.sha256(text.encode()).hexdigest()
            stated.pop("seal")
            canonical = json.dumps(stated, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            stated["seal"] = hashlib.sha256(canonical.encode()).hexdigest()
            (bad / "model" / "model.json").write_text(json.dumps(stated, ensure_ascii=False))
        sealed_again(home, bad)
        verify(bad, trusted)
        with pytest.raises(ModelError):
            try_release(bad, trusted)
        shutil.rmtree(bad)


def test_a_trial_that_is_killed_or_hangs_is_a_refusal(home, monkeypatch):
    folder, trusted = newest_release(home), seal.trusted_keys(home)
    with pytest.raises(ModelError, match="not open after 0 s"):
        try_release(folder, trusted, seconds=0.01)
    killer = home.root / "killer.py"
    killer.write_text("#!/bin/sh\nkill -ABRT $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr("riskmodel.serving.releases.trial.sys.executable", str(killer))
    with pytest.raises(ModelError, match="its trial ended with code -6"):
        try_release(folder, trusted)


def test_a_pointer_that_leads_out_of_the_folder_is_not_followed(home):
    write_text(home.root / "release" / "current", "../../elsewhere")
    with pytest.raises(ModelError, match="no release to serve"):
        newest_release(home)


def test_releases_that_were_spoilt_and_sealed_again_end_no_process(home):
    """The reduced form of `python benchmarks/bad_releases.py`: opened in one process, as a service that
    starts does.
    """
    done = subprocess.run(
        [
            sys.executable,
            Path(__file__).resolve().parents[2] / "benchmarks" / "bad_releases.py",
            "--project",
            home.root,
            "--cases",
            "48",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "none ended the process" in done.stdout and "refused" in done.stdout


@pytest.mark.parametrize("inside", [True, False], ids=["a file of it", "the folder itself"])
def test_a_link_in_a_release_is_refused_though_it_leads_to_the_same_bytes(home, inside):
    """What a link leads to may change after the hashes were compared."""
    folder, trusted = newest_release(home), seal.trusted_keys(home)
    original = folder / "policy.json" if inside else folder
    elsewhere = home.root / "elsewhere"
    original.rename(elsewhere)
    original.symlink_to(elsewhere)
    with pytest.raises(ModelError) as caught:
        verify(folder, trusted)
    assert [(Path(fault.where).name, fault.found) for fault in caught.value.faults] == [
        (original.name, "a link")
    ]


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(home):
    folder, trusted = newest_release(home), seal.trusted_keys(home)
    for name, found in (("policy.json", "not a plain file"), ("signature.json", "cannot be read")):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(ModelError, match=found):
            verify(folder, trusted)


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b"\xff\xfe", b"7", b"", b" " * 20_000_000],
    ids=["nested", "bytes", "number", "empty", "large"],
)
def test_whatever_a_signature_holds_is_a_fault_of_its_release(home, content):
    folder = newest_release(home)
    (folder / "signature.json").write_bytes(content)
    with pytest.raises(ModelError):
        verify(folder, seal.trusted_keys(home))


@pytest.fixture
def remade(home, trained):
    """Makes the release of the trained model again, in a project of its own."""
    good = newest_release(home)
    from riskmodel.screening.scoring import ScreeningModel
    from riskmodel.serving.releases.release import make_release
    from riskmodel.training.model import Model

    model = ScreeningModel.of(home, Model.load(good / "model"))
    return lambda: make_release(home, model, trained[1], dt.date(2025, 12, 31))


def test_a_release_made_again_stands_beside_the_one_before_which_is_kept(home, remade):
    first = newest_release(home)
    second = remade()
    assert second.name == f"{first.name}-2" and newest_release(home) == second and first.is_dir()
    third = remade()
    assert third.name == f"{first.name}-3" and newest_release(home) == third
    assert second.is_dir() and not first.exists(), "the last one is kept, the one before it is not"
    assert not list(first.parent.glob(".draft-*"))
    open_release(third, seal.trusted_keys(home))


def test_a_release_that_is_killed_on_its_way_leaves_the_current_one_and_its_draft_goes_with_the_next(
    home, remade, county_folder
):
    before = newest_release(home)
    program = """
import os, sys, signal
from riskmodel.serving.releases import release
release.os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from riskmodel.screening.scoring import ScreeningModel
from riskmodel.training.model import Model
from riskmodel.project import Project
from riskmodel.tables import read_tables
import datetime as dt
from pathlib import Path
home = Project.find(Path(sys.argv[1]))
model = ScreeningModel.of(home, Model.load(Path(sys.argv[2]) / "model"))
release.make_release(home, model, read_tables(sys.argv[3]), dt.date(2025, 12, 31))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, home.root, before, county_folder],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -9, done.stderr[-2000:]
    assert newest_release(home) == before and list(before.parent.glob(".draft-*"))
    remade()
    assert not list(before.parent.glob(".draft-*"))


def test_two_releases_are_not_made_at_once(home, remade):
    from riskmodel.serving.releases.release import FOLDER, _alone

    with _alone(home.root / FOLDER), pytest.raises(ModelError, match="another release is being made"):
        remade()
