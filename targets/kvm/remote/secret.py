"""The secret that an agent and its clients share, and how each proves that it knows it.

Both sides send a nonce; a proof is an HMAC-SHA256 over both and the role of its maker, so
none can be replayed or sent back. What follows is neither encrypted nor signed.
"""

from __future__ import annotations

import hmac
import os
import secrets
import tempfile
from pathlib import Path

from targets.cache import cache_dir
from targets.transport import TransportError

VARIABLE = "VCPUFUZZ_SECRET"
LEAST = 16
"""Characters; shorter ones can be guessed from a recorded handshake."""
MOST = 4096
NONCE_SIZE = 32

AGENT, CLIENT = b"agent", b"client"


def nonce() -> bytes:
    return secrets.token_bytes(NONCE_SIZE)


def proof(secret: bytes, role: bytes, agents_nonce: bytes, clients_nonce: bytes) -> bytes:
    """What only someone who knows `secret` can compute, in this role, for these nonces."""
    return hmac.digest(secret, b"vcpufuzz " + role + b"\0" + agents_nonce + clients_nonce, "sha256")


def same(one: bytes, other: bytes) -> bool:
    """Whether two proofs are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def usual_file() -> Path:
    """Where the secret is kept when nobody names another place."""
    return cache_dir() / "agent.secret"


def of_client() -> bytes:
    """$VCPUFUZZ_SECRET, or the usual file. Raises TransportError."""
    named = os.environ.get(VARIABLE)
    if named:
        return _checked(named, VARIABLE)
    if not usual_file().exists():
        raise TransportError(
            f"the agent's secret is not known here: set {VARIABLE},"
            f" or copy the agent's secret file to {usual_file()}."
        )
    return read(usual_file())


def of_agent(file: Path | None) -> tuple[bytes, str]:
    """The secret and where it is from: `file`, $VCPUFUZZ_SECRET, or the usual file, which is
    made if it is not there. Raises TransportError."""
    named = os.environ.get(VARIABLE)
    if file is None and named:
        return _checked(named, VARIABLE), VARIABLE
    if file is None:
        file = usual_file()
        if not file.exists():
            _make(file)
    return read(file), str(file)


def read(file: Path) -> bytes:
    """The secret in a file that nobody else may read. Raises TransportError."""
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            content = opened.read(MOST + 1)
    except OSError as error:
        raise TransportError(f"the secret in {file} cannot be read: {error.strerror}.") from error
    if status.st_mode & 0o077:
        raise TransportError(f"others may read the secret in {file}: run chmod 600 {file}.")
    if status.st_uid not in (0, os.geteuid()):
        raise TransportError(f"the secret in {file} belongs to somebody else.")
    return _checked(content.decode("utf-8", "surrogateescape"), str(file))


def _checked(text: str, source: str) -> bytes:
    secret = text.strip()
    if not LEAST <= len(secret) <= MOST:
        raise TransportError(f"the secret in {source} must have {LEAST} to {MOST} characters.")
    return secret.encode("utf-8", "surrogateescape")


def _make(file: Path) -> None:
    """A new secret, whole or not at all; one made meanwhile by somebody else stays."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".secret-") as staged:
            staged.write(secrets.token_urlsafe(32) + "\n")  # the file's mode is 0600
            staged.flush()
            os.link(staged.name, file)
    except FileExistsError:
        pass
    except OSError as error:
        raise TransportError(f"no secret can be kept in {file}: {error.strerror}.") from error
