"""Lists, page by page: `$top`, `$skiptoken` and the `nextLink` that carries it.

Source: https://learn.microsoft.com/rest/api/azure/#async-operations-throttling-and-paging
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from starlette.responses import JSONResponse

from lurewire.arm.errors import InvalidQuery
from lurewire.arm.wire import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

_TOKENS = ("$skiptoken", "$skipToken")
_MOST_DIGITS = 9


class Pages:
    """Answers lists; `size` is the most rows of a page."""

    def __init__(self, size: int, base_url: Callable[[], str]) -> None:
        self._size = size
        self._base_url = base_url

    def __call__(self, request: Request, rows: Sequence[dict[str, Any]], **more: Any) -> Response:
        """The page that a request asks for; `$top` is the most rows of all pages. Raises `InvalidQuery`."""
        most = top(request)
        start, left = _start(request, rows, most)
        wanted = rows[start:] if left is None else rows[start : start + left]
        page = wanted[: self._size]
        body: dict[str, Any] = {"value": page, **more}
        if len(wanted) > len(page):
            token = [start + len(page), page[-1]["id"], None if left is None else left - len(page)]
            body["nextLink"] = self._link(request, token)
        return JSONResponse(body)

    def _link(self, request: Request, token: list[Any]) -> str:
        text = base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in _TOKENS]
        query = "&".join(
            f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in [*kept, ("$skiptoken", text)]
        )
        return f"{origin(request, self._base_url())}{quote(request.url.path, safe='/():@')}?{query}"


def top(request: Request) -> int | None:
    """The value of `$top`; raises `InvalidQuery`."""
    text = request.query_params.get("$top")
    if text is None or text == "":
        return None
    if not text.isdecimal() or not text.isascii() or len(text) > _MOST_DIGITS or int(text) < 1:
        raise InvalidQuery(f"The value '{text[:50]}' of '$top' is not a number greater than 0.")
    return int(text)


def _start(request: Request, rows: Sequence[dict[str, Any]], most: int | None) -> tuple[int, int | None]:
    """Where the page begins, and how many rows are left of `$top`: behind the row that was the last, if it is there."""
    text = next((request.query_params[name] for name in _TOKENS if request.query_params.get(name)), None)
    if text is None:
        return 0, most
    try:
        place, last, left = msgspec.json.decode(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[int, str, int | None]
        )
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise InvalidQuery("The value of '$skiptoken' is not one that a 'nextLink' has.") from None
    found = next((index for index, row in enumerate(rows) if str(row["id"]).lower() == last.lower()), None)
    return (max(place, 0) if found is None else found + 1), left
