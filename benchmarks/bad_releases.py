"""What a release does that was spoilt and then sealed again, which only the holder of the key can do: opened
in one process, as a service that starts does.

    python benchmarks/bad_releases.py --project DIR --cases 800

Cut short or with one bit flipped, by turns: a member's model text with the explanation tables taken away (so
that the text itself is read), the same with them, an array inside the tables and comparison figures (with
good check sums), any other file. Every hash is put right again. Prints how many were refused, how many
opened, and which ended the process or raised anything but a refusal: there must be none. Exit code 1 if there
is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from riskmodel.errors import UserError
from riskmodel.project import Project
from riskmodel.serving.releases import seal
from riskmodel.serving.releases.release import MANIFEST, SIGNATURE, _hashes, newest_release, open_release
from riskmodel.training.model import _canonical


def spoilt(content: bytes, cut: bool, draw: np.random.Generator) -> bytes:
    """The same bytes cut short, or with one bit flipped."""
    place = int(draw.integers(len(content)))
    return (
        content[:place]
        if cut
        else content[:place] + bytes([content[place] ^ (1 << int(draw.integers(8)))]) + content[place + 1 :]
    )


def spoil(folder: Path, case: int) -> str:
    """Spoil one thing in a release and put every hash of the model folder right again. Returns what."""
    draw, cut = np.random.default_rng([8, case]), bool(case % 2)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, SIGNATURE) and path.stat().st_size
    )
    members = [path for path in files if path.name.startswith("member_")]
    kind = ("text alone", "text", "array", "other")[case // 2 % 4]
    pools = {
        "array": [path for path in files if path.suffix == ".npz"],
        "other": [path for path in files if path not in members],
    }
    path = files[0] if not members else Path(str(draw.choice([str(one) for one in pools.get(kind, members)])))
    if kind == "text alone":
        (folder / "explanation_tables.npz").unlink(missing_ok=True)
    if kind == "array":
        arrays = dict(np.load(path))
        name = str(draw.choice([key for key, array in arrays.items() if array.nbytes]))
        array = arrays[name]
        raw = spoilt(array.tobytes(), cut, draw)
        arrays[name] = np.frombuffer(raw.ljust(array.nbytes, b"\0"), array.dtype).reshape(array.shape)
        np.savez(path, **arrays)
    else:
        path.write_bytes(spoilt(path.read_bytes(), cut, draw))
    record = folder / "model" / "model.json"
    try:
        stated = json.loads(record.read_bytes())
        stated["files"] = {
            name: hashlib.sha256((record.parent / name).read_bytes()).hexdigest() for name in stated["files"]
        }
        stated.pop("seal", None)
        record.write_text(
            json.dumps(
                {**stated, "seal": hashlib.sha256(_canonical(stated).encode()).hexdigest()},
                ensure_ascii=False,
            )
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # the record itself was spoilt beyond reading
    return f"{'cut' if cut else 'flipped'} {kind} {path.relative_to(folder).as_posix()}"


def work(home: Path, first: int, last: int) -> None:
    """Open the cases one after the other in this process; a line before each and one after it."""
    project = Project.find(home)
    good, trusted = newest_release(project), seal.trusted_keys(project)
    with tempfile.TemporaryDirectory() as place:
        for case in range(first, last):
            bad = shutil.copytree(good, Path(place) / str(case))
            print("begin", case, spoil(bad, case), flush=True)
            content = json.dumps(json.loads((bad / MANIFEST).read_bytes()) | {"files": _hashes(bad)}).encode()
            (bad / MANIFEST).write_bytes(content)
            (bad / SIGNATURE).write_text(json.dumps(seal.sign(content, seal.key_path(project))))
            try:
                open_release(bad, trusted)
                print("opened", flush=True)
            except UserError:
                print("refused", flush=True)
            except Exception as error:
                print(f"raised {type(error).__name__}", flush=True)
            shutil.rmtree(bad)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--project", type=Path, required=True, help="a project with a release and the key that sealed it"
    )
    parser.add_argument("--cases", type=int, default=800)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.project, asked.first, asked.cases)
        return 0
    counts: Counter[str] = Counter()
    wrong, case = [], asked.first
    while case < asked.cases:
        command = [
            sys.executable,
            __file__,
            "--work",
            "--project",
            str(asked.project),
            "--first",
            str(case),
            "--cases",
            str(asked.cases),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        for begin, end in zip(lines[::2], lines[1::2], strict=False):
            counts[end.split()[0]] += 1
            if end.startswith("raised"):
                wrong.append(f"{begin}: {end}")
        case += max(len(lines[::2]), 1)
        if len(lines) % 2 or done.returncode:
            counts["died"] += 1
            wrong.append(
                f"{lines[-1] if lines else 'nothing'}: the process ended with {done.returncode} "
                f"{done.stderr[-300:]}"
            )
    print(", ".join(f"{number} {name}" for name, number in sorted(counts.items())))
    print("\n".join(wrong) or "none ended the process")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
