"""Secrets at rest: encrypted where we must give them back, hashed where we only compare."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

if TYPE_CHECKING:
    from pathlib import Path


class SecretBox:
    """Authenticated encryption (Fernet) with a key of its own file, mode 0600, made at first use.

    `decrypt` raises `cryptography.fernet.InvalidToken` for text that this key did not write.
    """

    def __init__(self, key_file: Path) -> None:
        if not key_file.exists():
            write_private(key_file, Fernet.generate_key())
        key = key_file.read_bytes()
        self._fernet = Fernet(key)
        self._signing_key = hmac.digest(key, b"lurewire signatures", "sha256")

    def encrypt(self, plain: bytes) -> bytes:
        """The sealed form of `plain`."""
        return self._fernet.encrypt(plain)

    def decrypt(self, sealed: bytes) -> bytes:
        """What `encrypt` sealed."""
        return self._fernet.decrypt(sealed)

    def sign(self, message: bytes) -> bytes:
        """The signature (HMAC-SHA256, 32 bytes) of `message`, the same each time; a key derived from the box's makes it."""
        return hmac.digest(self._signing_key, message, "sha256")


def new_secret() -> str:
    """A secret of 256 random bits, as text that needs no quoting and is never read as an option (`-`)."""
    return f"lw{secrets.token_urlsafe(32)}"


def hash_secret(text: str) -> str:
    """The stored form of a secret made by `new_secret`: salted SHA-256.

    A slow hash guards guessable passwords; a guess at 256 random bits is hopeless at any speed.
    """
    salt = secrets.token_bytes(16)
    return f"sha256${salt.hex()}${_digest(salt, text)}"


def verify_secret(text: str, stored: str) -> bool:
    """Whether `text` is the secret behind `stored`; takes the same time either way."""
    _, salt, digest = stored.split("$")
    return hmac.compare_digest(_digest(bytes.fromhex(salt), text), digest)


def _digest(salt: bytes, text: str) -> str:
    return hashlib.sha256(salt + text.encode("utf-8", "surrogatepass")).hexdigest()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    # The new name must be on disk too before anything is encrypted with a key that is in it.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
