"""What is handed on: the wheel holds the package and the declarations, the Bento serves from a release
without anything of ours installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def released(checkout, tmp_path_factory, trained):
    """The files of the repository in a clean folder, with a release beside them."""
    target = tmp_path_factory.mktemp("released") / "riskmodel"
    shutil.copytree(checkout, target)
    shutil.copytree(trained[3].parent, target / "release")
    shutil.copy2(trained[0].root / "serving" / "trusted_keys.yaml", target / "serving" / "trusted_keys.yaml")
    return target


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def wheel(checkout, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=checkout)
    return next(out.glob("relapse_riskmodel-*.whl"))


def test_the_wheel_holds_the_package_and_the_declarations_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "riskmodel/py.typed" in names
    assert any(name.endswith("share/riskmodel/features/catalogue.yaml") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("relapse_riskmodel-")} == {"riskmodel"}


def test_the_installed_wheel_makes_a_project_where_none_is_at_hand(wheel, tmp_path):
    home = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    # The libraries of this environment, without its editable install.
    site = next((home / "lib").glob("python*")) / "site-packages"
    libraries = next(Path(item) for item in sys.path if item.endswith("site-packages"))
    (site / "libraries.pth").write_text(f"{libraries}\n")
    run(
        BIN / "uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        home / "bin" / "python",
        "--no-deps",
        wheel,
        cwd=tmp_path,
    )
    command = [home / "bin" / "python", "-P", "-c", "import riskmodel; print(riskmodel.__file__)"]
    assert str(home) in run(*command, cwd=tmp_path)
    run(home / "bin" / "riskmodel", "init", tmp_path / "new", cwd=tmp_path, RISKMODEL_PROJECT="")
    assert (tmp_path / "new" / "features" / "catalogue.yaml").is_file()
    assert (tmp_path / "new" / "serving" / "service.py").is_file()


def test_the_bento_holds_what_it_serves_and_installs_only_what_is_locked(released, tmp_path):
    run(
        BIN / "bentoml",
        "build",
        "--output",
        "tag",
        ".",
        cwd=released,
        BENTOML_HOME=str(tmp_path),
        BENTOML_DO_NOT_TRACK="true",
    )
    bento = next(path for path in (tmp_path / "bentos" / "relapse-riskmodel").iterdir() if path.is_dir())
    source = bento / "src"
    assert (source / "riskmodel" / "serving" / "scorer.py").is_file()
    assert (source / "serving" / "service.py").is_file()
    assert (source / "features" / "catalogue.yaml").is_file()
    assert (source / "release" / "current").is_file()
    assert not (source / "tests").exists()
    assert not list(bento.rglob("*.pem")), "the key that seals releases stays where releases are made"
    assert (source / "serving" / "web" / "index.html").is_file()
    asked = {
        line.split("==")[0]
        for line in (bento / "env" / "python" / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    locked = {
        line.split("==")[0]
        for line in (ROOT / "requirements" / "serve.txt").read_text().splitlines()
        if "==" in line
    }
    assert asked == locked
    assert not asked & {"mlflow", "shap", "scikit-learn", "optuna", "matplotlib", "pytest"}
    # The service of the Bento opens its own release, with the package of the Bento and not the one that is
    # installed here.
    code = (
        "import riskmodel; from riskmodel.serving.scorer import Scorer; from riskmodel.project import "
        "Project; scorer = Scorer.open(Project.find('.')); print(riskmodel.__file__, scorer.release.as_of)"
    )
    said = run(sys.executable, "-c", code, cwd=source, PYTHONPATH=str(source), RISKMODEL_PROJECT="")
    assert said.split() == [str(source / "riskmodel" / "__init__.py"), "2025-12-31"]
    # What its image would install: these packages of the base system, uv, and what is locked, by hash.
    dockerfile = (bento / "env" / "docker" / "Dockerfile").read_text()
    steps = [
        line
        for line in dockerfile.replace("\\\n", " ").splitlines()
        if line.startswith("RUN") and "install" in line
    ]
    system = next(line for line in steps if "apt-get install" in line)
    packages = {word for word in system.split("apt-get install")[1].split() if not word.startswith("-")}
    assert packages == {"ca-certificates", "gnupg2", "bash", "build-essential", "git"}
    others = [line for line in steps if line != system]
    assert len(others) == 2 and "pip install uv" in others[0], others
    assert others[1].split("pip install")[1].strip() == "-r $BENTO_PATH/env/python/requirements.txt"
    assert "--hash=sha256:" in (bento / "env" / "python" / "requirements.txt").read_text()
    assert not [
        line for line in dockerfile.splitlines() if "git+" in line or "curl" in line or "wget" in line
    ]
    # It answers, started as its own image starts it, without anything of ours installed.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BENTOML_HOME": str(tmp_path),
        "PYTHONPATH": str(source),
        "BENTOML_DO_NOT_TRACK": "true",
        "RISKMODEL_PROJECT": str(source),
    }
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [BIN / "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                    break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
                time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"<html" in page.read()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/model", timeout=10)
        assert refused.value.code == 401
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
