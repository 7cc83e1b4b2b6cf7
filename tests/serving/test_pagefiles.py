"""The page's own files: what goes out, what a browser may keep, and when that changes."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

import pytest

from riskmodel.serving.pagefiles import kept_by_the_worker, page_file, takes_gzip


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    for name, text in (
        ("index.html", "<p>页"),
        ("app.js", "start();"),
        ("worker.js", "self;"),
        ("icon.svg", "<svg/>"),
        ("note.txt", "no"),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    (tmp_path / "secret.js").write_text("secret", encoding="utf-8")
    return folder


def listed(home):
    version, files = re.fullmatch(
        rb'const VERSION = "(\w+)";\nconst FILES = (.*);\n', kept_by_the_worker(home)
    ).groups()
    return version, json.loads(files)


def test_the_worker_lists_every_file_of_the_page_but_itself_with_its_hash(home):
    _, files = listed(home)
    assert set(files) == {"", "web/app.js", "web/icon.svg"}
    assert files[""] == hashlib.sha256("<p>页".encode()).hexdigest()


def test_a_change_of_any_file_is_another_version_and_another_worker(home):
    version, worker = listed(home)[0], page_file(home, "worker.js")
    assert worker.content.startswith(kept_by_the_worker(home)) and worker.content.endswith(b"self;")
    assert worker.headers["service-worker-allowed"] == "../"
    (home / "icon.svg").write_text("<svg> </svg>", encoding="utf-8")
    again = page_file(home, "worker.js")
    assert listed(home)[0] != version
    assert again.headers["etag"] != worker.headers["etag"]


@pytest.mark.parametrize(
    "name", ["../secret.js", "note.txt", "none.js", "", ".", "a\0b.js", "x" * 5000 + ".js"]
)
def test_nothing_else_goes_out(home, name):
    assert page_file(home, name) is None


def test_a_zipped_file_is_the_same_file_under_a_mark_of_its_own(home):
    plain, zipped = page_file(home, "app.js"), page_file(home, "app.js", zipped=True)
    assert gzip.decompress(zipped.content) == plain.content == b"start();"
    assert zipped.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert plain.headers["vary"] == zipped.headers["vary"] == "accept-encoding"
    assert plain.headers["etag"] != zipped.headers["etag"]
    assert page_file(home, "app.js", zipped=True) == zipped, "the same bytes each time"


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("x-gzip-x", False),
    ],
)
def test_gzip_goes_to_whoever_takes_it(accepted, takes):
    assert takes_gzip(accepted) is takes
