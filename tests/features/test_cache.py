"""The folder of compiled kernels does not grow, and nothing in it runs that another user could have put
there.
"""

import os
import time

import pytest

from riskmodel.features import cache
from riskmodel.features.cache import cache_folder, clean_cache, loaded


def kernel_used(folder, name, days_ago):
    path = folder / f"{name}.py"
    path.write_text("")
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / f"{name}.build_features-1.py311.nbi").write_text("")
    os.utime(path, (time.time() - days_ago * 86400, 0))
    return path


def left(folder):
    return sorted(path.name for path in folder.rglob("*.*") if path.is_file())


def test_the_two_kernels_last_used_stay_with_what_was_compiled_of_them(tmp_path):
    for name, days_ago in {"kernel_a": 3, "kernel_b": 2, "kernel_c": 9, "trimmed_d": 30}.items():
        kernel_used(tmp_path, name, days_ago)
    clean_cache(kernel_used(tmp_path, "kernel_e", 0))
    assert left(tmp_path) == sorted(
        name
        for kept in ("kernel_b", "kernel_e", "trimmed_d")
        for name in (f"{kept}.py", f"{kept}.build_features-1.py311.nbi")
    )


def test_a_kernel_that_another_process_has_just_taken_up_stays(tmp_path):
    for name, days_ago in {"kernel_a": 0, "kernel_b": 0, "kernel_c": 0}.items():
        kernel_used(tmp_path, name, days_ago)
    clean_cache(kernel_used(tmp_path, "kernel_d", 0))
    assert len(left(tmp_path)) == 8


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of its own, in force."""
    monkeypatch.setenv("RISKMODEL_CACHE", str(tmp_path / "cache"))
    cache_folder.cache_clear()
    yield tmp_path / "cache"
    cache_folder.cache_clear()


def test_the_folder_is_made_for_its_user_only(folder):
    assert cache_folder() == folder and folder.stat().st_mode & 0o777 == 0o700


def test_a_line_that_was_added_to_a_cached_module_does_not_run(folder):
    text = "ANSWER = 42\n"
    assert loaded("kernel", text).ANSWER == 42
    (path,) = folder.glob("kernel_*.py")
    mark = folder / "ran"
    path.write_text(text + f"open({str(mark)!r}, 'w')\n")
    compiled = folder / "__pycache__" / f"{path.stem}.anything.nbi"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_text("")
    assert loaded("kernel", text).ANSWER == 42
    assert not mark.exists() and not compiled.exists() and path.read_text() == text


def test_a_folder_that_others_could_write_to_is_closed_and_emptied(folder):
    folder.mkdir()
    folder.chmod(0o777)
    planted = folder / "kernel_0123456789abcdef.py"
    planted.write_text("")
    (folder / "__pycache__").mkdir()
    assert cache_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not planted.exists() and not (folder / "__pycache__").exists()


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder to another user"
)
def test_another_user_s_folder_is_not_used(folder, caplog):
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    used = cache_folder()
    assert used != folder and used.stat().st_mode & 0o077 == 0
    assert "belongs to another user" in caplog.text


def test_a_compiled_file_that_others_may_write_to_is_removed_before_it_is_loaded(folder):
    loaded("kernel", "A = 1\n")
    (path,) = folder.glob("kernel_*.py")
    (folder / "__pycache__").mkdir(exist_ok=True)
    compiled = folder / "__pycache__" / f"{path.stem}.anything.nbi"
    compiled.write_text("")
    compiled.chmod(0o666)
    loaded("kernel", "A = 1\n")
    assert not compiled.exists() and cache.is_private(path)
