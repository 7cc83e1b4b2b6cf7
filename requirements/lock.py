"""Make the hash-locked requirement files again from pyproject.toml: `make lock`.

The files are universal (Linux, Windows, Apple silicon; Python 3.11 to 3.13) and name no registry. dev.txt is
resolved first; the smaller ones are constrained by it, so that every file names the same versions.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
OPTIONS = [
    "--quiet",
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--python-version",
    "3.11",
]
FILES = {
    "dev.txt": ["pyproject.toml", "--extra", "train", "--extra", "print", "--extra", "sso", "--group", "dev"],
    "train.txt": [
        "pyproject.toml",
        "--extra",
        "train",
        "--extra",
        "print",
        "--extra",
        "postgres",
        "--extra",
        "sso",
        "--constraint",
        "requirements/dev.txt",
    ],
    "serve.txt": [
        "pyproject.toml",
        "--extra",
        "postgres",
        "--extra",
        "sso",
        "--constraint",
        "requirements/dev.txt",
    ],
    "bootstrap.txt": ["requirements/bootstrap.in", "--constraint", "requirements/dev.txt"],
}


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    for name, sources in FILES.items():
        print(f"requirements/{name}")
        command = [
            uv,
            "pip",
            "compile",
            *OPTIONS,
            *sources,
            "--output-file",
            f"requirements/{name}",
            *sys.argv[1:],
        ]
        subprocess.run(command, cwd=FOLDER.parent, check=True)


if __name__ == "__main__":
    main()
