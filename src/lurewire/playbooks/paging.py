"""Lists over HTTP, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

_DEFAULT_PAGE, _LONGEST_PAGE = 30, 250
_LONGEST_NUMBER = 20


def page(request: Request) -> tuple[int, int]:
    """How many rows a request asks for, and after how many."""
    return max(1, _number(request, "$top", _DEFAULT_PAGE, _LONGEST_PAGE)), _number(request, "$skiptoken", 0, 10**9)


def listed(request: Request, values: list[dict[str, Any]], top: int, skip: int) -> Response:
    """The first `top` of `values`, and a link to the rest where there are more."""
    body: dict[str, Any] = {"value": values[:top]}
    if len(values) > top:
        following = request.url.include_query_params(**{"$skiptoken": str(skip + top)})
        body["nextLink"] = str(following)
    return JSONResponse(body)


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, "")
    if not text.isascii() or not text.isdigit():
        return default
    return min(int(text), most) if len(text) < _LONGEST_NUMBER else most
