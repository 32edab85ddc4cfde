"""Backups of secrets: all versions with their values, sealed so that only this install can read them.

Source: https://learn.microsoft.com/rest/api/keyvault/secrets/backup-secret/backup-secret
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from cryptography.fernet import InvalidToken

from lurewire.vault.errors import BadParameter
from lurewire.vault.models import SecretVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.secretbox import SecretBox


def sealed(versions: Sequence[SecretVersion], box: SecretBox) -> str:
    """The backup of a secret, as text: base64url without padding, which clients take apart and put together again."""
    return box.encrypt(msgspec.json.encode(versions)).decode().rstrip("=")


def opened(backup: object, box: SecretBox) -> list[SecretVersion]:
    """The versions that a backup holds, oldest first; raises `BadParameter` for what is no backup of this install."""
    if not isinstance(backup, str):
        raise BadParameter("Property 'value' is missing, or not a string.")
    try:
        token = backup.encode("ascii") + b"=" * (-len(backup) % 4)
        return msgspec.json.decode(box.decrypt(token), type=list[SecretVersion])
    except (InvalidToken, msgspec.DecodeError, UnicodeError):
        raise BadParameter("Property 'value' is not the backup of a secret that was made here.") from None
