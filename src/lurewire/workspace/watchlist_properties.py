"""The properties of a watchlist, as a PUT has them.

Source: https://learn.microsoft.com/rest/api/securityinsights/watchlists/create-or-update; what the service alone writes is
passed over, as it is in Azure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lurewire.kql import datetime_text, ticks_from_datetime
from lurewire.workspace.errors import BadRequest
from lurewire.workspace.watchlist_content import DELIMITERS

if TYPE_CHECKING:
    from lurewire.core.limits import Limits

_REQUIRED = ("displayName", "provider", "itemsSearchKey")
_TEXTS = (*_REQUIRED, "source", "sourceType", "description", "defaultDuration", "contentType", "rawContent")
_SOURCE_TYPES = {"local": "Local", "local file": "Local"}
_NAME = re.compile(r"[^\W_](?:[\w\s-]*[^\W_])?")
_MOST_SKIPPED = 2**31 - 1
_NUMBER = r"(\d{1,9})"
_DURATION = re.compile(
    rf"P(?=[\dT])(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:(\d{{1,9}}(?:\.\d{{1,7}})?)S)?)?",
    re.ASCII,
)
_SECONDS = (365 * 86_400, 30 * 86_400, 86_400, 3_600, 60, 1)
"""A year is 365 days and a month 30, as in .NET's reading of a duration, which Azure's format is."""


def check_alias(name: str, limits: Limits) -> None:
    """Raises `BadRequest` for what cannot be the alias of a watchlist."""
    _check_length("the alias", name, limits)
    if not _NAME.fullmatch(name):
        rule = "letters, digits, blanks, '-' and '_', with a letter or digit at its ends"
        raise BadRequest(f"the alias: '{name[:80]}' does not consist of {rule}.")


def read(body: dict[str, Any], alias: str, limits: Limits) -> dict[str, Any]:
    """What a person sets of the body's properties, with the defaults of what is left out. Raises `BadRequest`."""
    given = body.get("properties")
    if not isinstance(given, dict):
        raise BadRequest("'properties': an object is required.")
    texts = {name: given[name] for name in _TEXTS if given.get(name) is not None}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise BadRequest(f"'properties.{name}': a text is required.")
    for name in _REQUIRED:
        if not texts.get(name, "").strip():
            raise BadRequest(f"'properties.{name}': a text is required.")
    _check_length("'properties.displayName'", texts["displayName"], limits)
    if str(given.get("watchlistAlias") or alias).lower() != alias.lower():
        raise BadRequest(
            f"'properties.watchlistAlias': '{str(given['watchlistAlias'])[:80]}' is not the name, '{alias}'."
        )
    texts |= _source(given, texts)
    size, most = len(texts.get("rawContent", "").encode("utf-8", "surrogatepass")), limits["workspace.watchlist_bytes"]
    if size > most:
        raise BadRequest(f"'properties.rawContent': {size} bytes are more than the limit of {most}.")
    if "defaultDuration" in texts:
        _seconds(texts["defaultDuration"])
    kind = texts.get("contentType", "text/csv").lower()
    if kind not in DELIMITERS:
        known = " nor ".join(DELIMITERS)
        raise BadRequest(f"'properties.contentType': '{kind[:80]}' is neither {known}.")
    return texts | {"contentType": kind, "numberOfLinesToSkip": _skipped(given), "labels": _labels(given)}


def expiry(duration: str | None, now: datetime) -> str | None:
    """When an item that is made `now` is over, where its watchlist has a default duration."""
    if not duration:
        return None
    try:
        end = now + timedelta(seconds=_seconds(duration))
    except OverflowError:
        end = datetime.max.replace(tzinfo=UTC)
    return datetime_text(ticks_from_datetime(end))


def _check_length(what: str, name: str, limits: Limits) -> None:
    least, most = limits["workspace.watchlist_name_min"], limits["workspace.watchlist_name_max"]
    if not least <= len(name) <= most:
        raise BadRequest(f"{what}: '{name[:80]}' does not have {least} to {most} characters.")


def _source(given: dict[str, Any], texts: dict[str, Any]) -> dict[str, str]:
    """The kind of source, which old versions of the API wrote into `source`."""
    kind = texts.get("sourceType")
    if kind is not None and kind.lower() not in _SOURCE_TYPES:
        raise BadRequest(f"'properties.sourceType': '{kind[:80]}' is not supported here; Local is.")
    if given.get("sasUri"):
        raise BadRequest("'properties.sasUri': a file in Azure Storage is not supported here; send its rawContent.")
    return {} if kind is None else {"sourceType": _SOURCE_TYPES[kind.lower()]}


def _skipped(given: dict[str, Any]) -> int:
    value = given.get("numberOfLinesToSkip")
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < len(str(_MOST_SKIPPED)):
        value = int(value)  # as published templates write it
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_SKIPPED:
        raise BadRequest("'properties.numberOfLinesToSkip': a number of lines is required.")
    return value


def _labels(given: dict[str, Any]) -> list[str]:
    labels = given.get("labels") or []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise BadRequest("'properties.labels': a list of texts is required.")
    return labels


def _seconds(duration: str) -> float:
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise BadRequest(f"'properties.defaultDuration': '{duration[:80]}' is no duration such as P90D or P1Y6M.")
    return sum(float(number) * unit for number, unit in zip(found.groups(), _SECONDS, strict=True) if number)
