"""The seal of a release: an Ed25519 signature over its manifest, by a key that stays where releases are made.

The private key is a file of its own outside every release (`keys/release.pem` of the project, or what
RISKMODEL_RELEASE_KEY names), readable by its
owner only. The service trusts the public keys that `serving/trusted_keys.yaml` and RISKMODEL_TRUSTED_KEYS
name, and no others.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, TypeAdapter

from riskmodel.errors import Fault, ModelError
from riskmodel.files import naming, write_text
from riskmodel.project import Project

KEY_FILE: Final = "keys/release.pem"
TRUSTED_FILE: Final = "serving/trusted_keys.yaml"
KEY_VARIABLE: Final = "RISKMODEL_RELEASE_KEY"
TRUSTED_VARIABLE: Final = "RISKMODEL_TRUSTED_KEYS"
_Trusted: Final = TypeAdapter(dict[str, Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]])
_HEADING: Final = """\
# Public keys whose releases this service loads: name of the key (its hash), then the key. `riskmodel
# release-key` adds the one it makes.
# A release that is signed by no key of this file (or of RISKMODEL_TRUSTED_KEYS) is refused. Delete a line
# and a key is trusted no more.
"""


def key_path(project: Project) -> Path:
    """The path of the private key."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named).expanduser() if named else project.root / KEY_FILE


def make_key(project: Project) -> tuple[Path, str]:
    """Make the private key (mode 0600) and add its public key to the trusted ones. Returns its path and name.

    Raises ModelError when there is a key already: releases signed with it would lose their seal.
    """
    path = key_path(project)
    with naming(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with naming(path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ModelError(
                Fault(
                    str(path),
                    "there is a key already",
                    "no key yet",
                    "Move it away first, if a new one is wanted; keep both trusted.",
                )
            ) from None
    public = _raw(key.public_key())
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        trust(project, public)
    except BaseException:  # half a key, or one that nothing trusts, would be in the way of the next one
        path.unlink(missing_ok=True)
        raise
    return path, key_name(public)


def trust(project: Project, public: bytes) -> None:
    """Add a public key to the project's trusted ones."""
    known = _in_file(project) | {key_name(public): base64.b64encode(public).decode()}
    lines = "".join(f'{name}: "{key}"\n' for name, key in known.items())
    write_text(project.root / TRUSTED_FILE, _HEADING + lines, shared=True)


def key_name(public: bytes) -> str:
    """Name of a public key: the first 16 hex digits of its SHA-256, after `k`."""
    return "k" + hashlib.sha256(public).hexdigest()[:16]


def trusted_keys(project: Project) -> dict[str, bytes]:
    """Name -> public key (32 bytes) of everybody whose releases may be loaded. Raises ProjectError and
    ModelError for what is no key."""
    texts = list(_in_file(project).values())
    texts += [text.strip() for text in os.environ.get(TRUSTED_VARIABLE, "").split(",") if text.strip()]
    keys = {}
    for text in texts:
        try:
            public = base64.b64decode(text, validate=True)
            Ed25519PublicKey.from_public_bytes(public)
        except ValueError:
            raise ModelError(
                Fault(
                    TRUSTED_VARIABLE,
                    "what is no key",
                    "Ed25519 public keys, base64, separated by commas",
                    "Correct it.",
                )
            ) from None
        keys[key_name(public)] = public
    return keys


def _in_file(project: Project) -> dict[str, str]:
    path = project.root / TRUSTED_FILE
    if not path.is_file() or project.document(TRUSTED_FILE).data is None:
        return {}
    return project.load(TRUSTED_FILE, _Trusted)


def sign(content: bytes, path: Path) -> dict[str, str]:
    """Signature of some bytes by the private key at `path`. Raises ModelError: no key, not a key, or
    readable by others."""
    remedy = "Make one with `riskmodel release-key`, or name it with RISKMODEL_RELEASE_KEY."
    try:
        text = path.read_bytes()
        open_to_others = path.stat().st_mode & 0o077
    except OSError:
        raise ModelError(
            Fault(str(path), "no key to sign with", "the private key of releases", remedy)
        ) from None
    if os.name == "posix" and open_to_others:
        raise ModelError(
            Fault(
                str(path),
                "others can read it",
                "mode 0600",
                "chmod 600; if it may have been read, make another key.",
            )
        )
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ModelError(
            Fault(
                str(path), "not an Ed25519 private key", "the key that `riskmodel release-key` made", remedy
            )
        )
    public = _raw(key.public_key())
    return {
        "algorithm": "ed25519",
        "key": key_name(public),
        "signature": base64.b64encode(key.sign(content)).decode(),
    }


def check(content: bytes, signature: Any, trusted: Mapping[str, bytes], where: str) -> str:
    """Name of the trusted key that signed these bytes. Raises ModelError: no signature, a foreign key, or
    other bytes."""
    remedy = "Make the release where its key is, or trust that key in serving/trusted_keys.yaml."
    if not isinstance(signature, dict) or signature.get("algorithm") != "ed25519":
        raise ModelError(Fault(where, "no signature that can be read", "an Ed25519 signature", remedy))
    name = signature.get("key")
    public = trusted.get(name) if isinstance(name, str) else None
    if public is None:
        found = (
            f"signed with the key {name[:32]}"
            if isinstance(name, str)
            else "signed with a key that it does not name"
        )
        known = ", ".join(trusted) or "none: no key is trusted here"
        raise ModelError(Fault(where, found, f"a key that is trusted here ({known})", remedy))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            base64.b64decode(str(signature.get("signature")), validate=True), content
        )
    except (InvalidSignature, ValueError):
        raise ModelError(
            Fault(where, "the signature does not fit the manifest", "the manifest that was signed", remedy)
        ) from None
    return str(name)


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
