"""A fault as a person writes it, checked. The wire's names are in camel case (`retryAfter`)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lurewire.testbench.errors import BadFault

Cut = Literal["before", "during", "after"]
"""When the connection is cut: before the server does anything, in the middle of its answer, or when it has done all and the answer would leave."""

_HEADER_SECONDS = 86_400


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which requests a fault is for: those that have everything that is named here. `path` may hold `*` for any text."""

    room: str | None = None
    method: str | None = None
    path: str | None = None
    rule: str | None = None
    stream: str | None = None


class FaultSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """What happens to a request that matches, and how often.

    One of `status` and `cut`, or `delay` (seconds before anything else happens) alone or with one of them. `skip` lets the
    first matches pass, `times` ends the fault after so many, `percent` is the chance of each; the same `seed` gives
    the same choices.
    """

    match: Match = Match()
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: int | None = None
    cut: Cut | None = None
    delay: float = 0.0
    times: int | None = None
    skip: int = 0
    percent: float = 100.0
    seed: int = 0


def read_fault(body: Any, rooms: frozenset[str], most_seconds: int) -> FaultSpec:
    """The fault that JSON (already parsed) describes. Raises `BadFault`, which says what does not fit."""
    try:
        spec = msgspec.convert(body, FaultSpec)
    except msgspec.ValidationError as error:
        raise BadFault(f"{error}") from None
    for holds, complaint in _rules(spec, rooms, most_seconds):
        if not holds:
            raise BadFault(complaint)
    return spec


def _rules(spec: FaultSpec, rooms: frozenset[str], most_seconds: int) -> tuple[tuple[bool, str], ...]:
    match = spec.match
    answers = spec.status is not None
    return (
        (answers or spec.cut is not None or spec.delay > 0, "a fault needs a 'status', a 'cut' or a 'delay'"),
        (not (answers and spec.cut is not None), "a fault has a 'status' or a 'cut', not both"),
        (spec.status is None or 400 <= spec.status <= 599, "'status' is from 400 to 599"),
        (answers or not (spec.code or spec.message), "'code' and 'message' need a 'status'"),
        (answers or spec.retry_after is None, "'retryAfter' needs a 'status'"),
        (spec.retry_after is None or 0 <= spec.retry_after <= _HEADER_SECONDS, "'retryAfter' is from 0 to 86400"),
        (0 <= spec.delay <= most_seconds, f"'delay' is from 0 to {most_seconds} seconds"),
        (spec.times is None or spec.times > 0, "'times' is 1 or more"),
        (spec.skip >= 0, "'skip' is 0 or more"),
        (0 < spec.percent <= 100, "'percent' is over 0, and 100 at most"),
        (
            match.room is None or match.room in rooms,
            f"'match.room' is one of {', '.join(sorted(rooms))}",
        ),
        (
            not (match.rule or match.stream) or match.room in (None, "ingestion"),
            "'match.rule' and 'match.stream' are of room 'ingestion'",
        ),
    )
