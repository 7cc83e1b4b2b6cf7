"""A new release is taken while requests are answered: every answer is one release's offline score, and the
change is one reference.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest

import riskmodel as rm
from riskmodel.errors import ModelError
from riskmodel.files import write_text
from riskmodel.serving.reading import read
from riskmodel.serving.releases import seal
from riskmodel.serving.releases.release import open_release
from riskmodel.serving.requests import scores_request
from riskmodel.serving.scorer import Scorer, score_rows
from riskmodel.serving.swap import Watch

AS_OF = dt.date(2025, 12, 31)
ROOT = Path(__file__).resolve().parents[2]


def test_under_a_swap_every_answer_is_one_release_s_offline_score(two_models):
    project, tables, first, second = two_models
    trusted = seal.trusted_keys(project)
    names = sorted(tables["households"]["household_id"].unique().to_list())
    asked = []
    for name in names:
        one = read(orjson.dumps(scores_request(tables, [name], AS_OF)))
        try:
            score_rows(open_release(first, trusted), one.rows, AS_OF, 12)
        except rm.UserError:
            continue
        asked.append(one)
        if len(asked) == 6:
            break
    right = {}
    for folder in (first, second):
        release = open_release(folder, trusted)
        right[release.version] = [score_rows(release, one.rows, AS_OF, 12) for one in asked]
    assert len(right) == 2
    scorer = Scorer(open_release(first, trusted))
    watch = Watch(scorer, project)
    stop, wrong, seen = threading.Event(), [], []

    def ask() -> None:
        turn = 0
        while not stop.is_set():
            release = scorer.release
            place = turn % len(asked)
            told = score_rows(release, asked[place].rows, AS_OF, 12)
            seen.append(release.version)
            if told != right[release.version][place]:
                wrong.append(place)
            turn += 1

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for folder in (second, first, second):
            write_text(project.root / "release" / "current", folder.name)
            assert watch.look() is True
            assert scorer.release.folder == folder
            assert watch.look() is False, "what is in force is not taken again"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        write_text(project.root / "release" / "current", first.name)
    assert not wrong
    assert set(seen) == set(right)
    assert scorer.tally.swaps == 3 and scorer.tally.refused_releases == 0


def test_a_bad_release_is_refused_once_and_taken_when_it_has_been_mended(two_models):
    project, _, first, second = two_models
    scorer = Scorer(open_release(first, seal.trusted_keys(project)))
    watch = Watch(scorer, project)
    golden = (second / "golden.json").read_bytes()
    manifest = second / "manifest.json"
    (second / "golden.json").write_bytes(golden + b" ")
    write_text(project.root / "release" / "current", second.name)
    try:
        assert watch.look() is False and watch.look() is False
        assert scorer.tally.refused_releases == 1, "the same bad release is not tried again and again"
        (second / "golden.json").write_bytes(golden)
        os.utime(manifest)
        assert watch.look() is True
    finally:
        (second / "golden.json").write_bytes(golden)
        write_text(project.root / "release" / "current", first.name)


def test_a_release_without_its_key_in_the_trusted_ones_is_not_taken(two_models, monkeypatch):
    project, _, first, second = two_models
    scorer = Scorer(open_release(first, seal.trusted_keys(project)))
    monkeypatch.setattr("riskmodel.serving.releases.seal.trusted_keys", lambda _: {})
    write_text(project.root / "release" / "current", second.name)
    try:
        assert Watch(scorer, project).look() is False
        assert scorer.release.folder == first
    finally:
        write_text(project.root / "release" / "current", first.name)
    with pytest.raises(ModelError):
        Scorer.open(project)


def test_a_storm_of_requests_under_swaps_gets_right_answers_or_quick_refusals(
    two_models, trained, county_folder, tmp_path
):
    """The reduced form of `python benchmarks/load.py`, which sends 10,000 requests with 64 in flight under 20
    swaps.
    """
    project, _, first, second = two_models
    home = tmp_path / "project"
    shutil.copytree(project.root, home)
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks" / "load.py",
            "--project",
            home,
            "--tables",
            county_folder,
            "--other",
            second.name,
            "--requests",
            "300",
            "--in-flight",
            "24",
            "--swaps",
            "2",
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "2 swaps" in done.stdout and f"right, {first.name.split('-')[0]}" in done.stdout
