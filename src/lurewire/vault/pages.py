"""Lists of the data plane, page by page: `maxresults`, and the `nextLink` that carries where the next one begins.

Source: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lurewire.vault.errors import BadParameter
from lurewire.vault.models import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

_MOST_DIGITS = 18


def asked_page(request: Request, most: int, *, numbered: bool = False) -> Page:
    """The page that a request asks for; the keys of a `numbered` list are numbers. Raises `BadParameter`."""
    count = request.query_params.get("maxresults") or str(most)
    if not (count.isdecimal() and count.isascii() and len(count) <= _MOST_DIGITS and 1 <= int(count) <= most):
        raise BadParameter(f"The query parameter 'maxresults' must be a number from 1 to {most}.")
    token = request.query_params.get("$skiptoken") or ""
    try:
        after = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        raise BadParameter("The value of '$skiptoken' is not one that a 'nextLink' has.") from None
    if numbered and after and not (after.isdecimal() and after.isascii() and len(after) <= _MOST_DIGITS):
        raise BadParameter("The value of '$skiptoken' is not one that a 'nextLink' has.")
    return Page(int(count), after)


def body_of(request: Request, page: Page, items: Sequence[dict[str, Any]], last: str) -> dict[str, Any]:
    """The answer with a page's items; `last` is the key of the last one. A full page has a link to the next."""
    if len(items) < page.count:
        return {"value": list(items), "nextLink": None}
    token = base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")
    version = quote(request.query_params["api-version"], safe="")
    path = quote(request.scope["path"], safe="/")
    query = f"api-version={version}&$skiptoken={token}&maxresults={page.count}"
    return {"value": list(items), "nextLink": f"https://{request.headers['host']}{path}?{query}"}
