from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.secretbox import SecretBox, hash_secret, new_secret, verify_secret, write_private

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_sealed_comes_back_also_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "secret.key"
    sealed = SecretBox(file).encrypt(b"api key \x00\xff")
    assert b"api key" not in sealed
    assert SecretBox(file).decrypt(sealed) == b"api key \x00\xff"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_key_or_a_changed_byte_is_refused(tmp_path: Path) -> None:
    box = SecretBox(tmp_path / "a.key")
    sealed = bytearray(box.encrypt(b"secret"))
    with pytest.raises(InvalidToken):
        SecretBox(tmp_path / "b.key").decrypt(bytes(sealed))
    sealed[-5] ^= 1
    with pytest.raises(InvalidToken):
        box.decrypt(bytes(sealed))


def test_a_signature_is_the_same_after_a_restart_and_another_by_another_key(tmp_path: Path) -> None:
    box, other = SecretBox(tmp_path / "a.key"), SecretBox(tmp_path / "b.key")
    assert box.sign(b"message") == SecretBox(tmp_path / "a.key").sign(b"message")
    assert len({box.sign(b"message"), box.sign(b"another"), other.sign(b"message")}) == 3


@given(st.text(), st.text())
def test_only_the_secret_verifies(secret: str, other: str) -> None:
    stored = hash_secret(secret)
    assert verify_secret(secret, stored)
    assert verify_secret(other, stored) == (other == secret)
    assert hash_secret(secret) != stored, "salted"
    assert len(secret) < 8 or secret not in stored


def test_new_secrets_differ_and_need_no_quoting() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(s) == 45 and s.replace("-", "").replace("_", "").isalnum() for s in secrets)
    assert all(s[0].isalpha() for s in secrets), "a command line would read a leading hyphen as an option"


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    file, old = tmp_path / "f", os.umask(0)
    try:
        (tmp_path / "f.partial").write_text("left by a kill, readable by everybody")
        (tmp_path / "f.partial").chmod(0o666)
        write_private(file, b"new")
    finally:
        os.umask(old)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
