"""The folder of compiled kernels does not grow."""

import os
import time

from riskmodel.features.cache import clean_cache


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
