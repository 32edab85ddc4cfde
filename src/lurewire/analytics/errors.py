"""One class per error code of the alert rules API. Source: azure.md F.2; error bodies as in E.3."""

from __future__ import annotations

from typing import ClassVar

from lurewire.core.errors import WireError


class BadRequest(WireError):
    """A property does not fit; the message names it by JSON pointer."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "BadRequest"
