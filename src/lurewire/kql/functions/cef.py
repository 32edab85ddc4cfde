"""parse_cef_dictionary(), which only transformations have.

Source: https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql#special-functions.
The page says no more than that the message's Extension becomes a dynamic object of keys and values under `Extension`; how
an extension is written is the Common Event Format's own document. What is no CEF message gives null.
"""

from __future__ import annotations

import re
from typing import Any

from lurewire.kql.types import KqlType

from .common import scripted
from .registry import text

_HEADER_FIELDS = 7
#: The header's fields end at a bar that no backslash escapes; a syslog header may stand before it.
_HEADER = re.compile(r"CEF:\s*\d+(?:\.\d+)?\|" + r"(?:[^|\\]|\\.)*\|" * (_HEADER_FIELDS - 1), re.DOTALL)
#: A key: what stands before an equals sign that no backslash escapes, after a blank.
_KEY = re.compile(r"(?:^|(?<=\s))([\w.\[\]-]+)=")
_ESCAPE = re.compile(r"\\([\\=|nr])")
_ESCAPED = {"n": "\n", "r": "\r"}


def _dictionary(message: str) -> dict[str, Any] | None:
    header = _HEADER.search(message)
    if header is None:
        return None
    extension = message[header.end() :]
    keys = list(_KEY.finditer(extension))
    ends = [*(key.start() for key in keys[1:]), len(extension)]
    values = {
        key.group(1): _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), extension[key.end() : end].strip())
        for key, end in zip(keys, ends, strict=False)  # without keys there is an end alone
    }
    return {"Extension": values}


FUNCTIONS = (
    scripted(
        "parse_cef_dictionary",
        _dictionary,
        (text("message"),),
        KqlType.DYNAMIC,
        page="https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql",
    ),
)
