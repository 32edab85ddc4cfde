"""Templates as people write them: JSON with comments and commas too many."""

from __future__ import annotations

import math
from typing import Any

import pyjson5

from lurewire.arm.bodies import check_object
from lurewire.arm.errors import InvalidRequestContent


def parse_json5(body: bytes, depth: int) -> dict[str, Any]:
    """A deployment as azure-cli sends it: a key without quotes, and the template's file as it is, comments and all.

    Raises `InvalidRequestContent`.
    """
    try:
        value = pyjson5.decode(body.decode("utf-8-sig"), maxdepth=depth)
    except (pyjson5.Json5Exception, UnicodeDecodeError) as error:
        raise InvalidRequestContent(
            f"The request content was invalid and could not be deserialized: '{error}'."
        ) from None
    checked = check_object(value, depth)
    _refuse_infinite(checked)
    return checked


def _refuse_infinite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequestContent("The request content was invalid: JSON has no infinite numbers and no NaN.")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_infinite(child)
