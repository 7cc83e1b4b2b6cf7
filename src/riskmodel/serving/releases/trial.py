"""Opens a release and ends: the process in which a new release proves itself, so that a bad one can only kill
this one.

`python -m riskmodel.serving.releases.trial FOLDER` with the trusted keys (name and base64, as JSON) on stdin.
Exit code 0: it may be served. 1: refused, with the
faults as JSON on stdout. Anything else: it died on the way.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from riskmodel.errors import Fault, ModelError, UserError
from riskmodel.serving.releases.release import open_release


def try_release(folder: Path, trusted: Mapping[str, bytes], seconds: float = 120.0) -> None:
    """Open a release in a process of its own. Raises ModelError with what kept it from opening, also when
    that process was killed or hung."""
    keys = json.dumps({name: base64.b64encode(key).decode() for name, key in trusted.items()})
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "riskmodel.serving.releases.trial", str(folder)],
            input=keys,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            Fault(
                str(folder),
                f"not open after {seconds:.0f} s",
                "a release that opens",
                "Make it again, or allow more time.",
            )
        ) from None
    if done.returncode == 0:
        return
    try:
        faults = [Fault(**fault) for fault in json.loads(done.stdout)]
    except (ValueError, TypeError, RecursionError):
        faults = []
    died = Fault(
        str(folder),
        f"its trial ended with code {done.returncode}",
        "a release that opens",
        "Make the release again.",
    )
    raise ModelError(faults or died)


def main() -> int:
    """Open the release that the command line names."""
    trusted = {name: base64.b64decode(key) for name, key in json.loads(sys.stdin.read()).items()}
    try:
        open_release(Path(sys.argv[1]), trusted)
    except UserError as error:
        print(json.dumps([fault.as_dict() for fault in error.faults]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
