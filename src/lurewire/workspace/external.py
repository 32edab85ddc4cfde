"""Where externaldata of this workspace may read: files of one folder, and web pages under declared prefixes.

The SQL reads neither: a worker reads the bytes before it runs the query, and hands them over as rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_BYTES = 100 << 20
"""Source: https://learn.microsoft.com/kusto/query/externaldata-operator (reference tables of up to 100 MB)."""
_FILE = re.compile(r"[\w][\w. -]{0,200}")
_UNSAFE = re.compile(r"[\s\\@#]|%2[ef]|%5c|/\.{1,2}(?:/|$)|//", re.IGNORECASE)


class PlaceRefused(OSError):
    """A location is not one that may be read, or not by these means."""


@dataclass(frozen=True, slots=True)
class Places:
    """Files of `folder`, which are named without a path, and https URLs that start with one of `prefixes`.

    `fetch` reads a URL, on the thread of the query; it raises OSError.
    """

    folder: Path | None = None
    prefixes: tuple[str, ...] = ()
    fetch: Callable[[str], bytes] | None = None

    def allows(self, location: str) -> bool:
        """Whether a location may be read. Nothing is looked at outside."""
        return self._file(location) is not None or self._url(location) is not None

    def read(self, location: str) -> bytes:
        """The bytes of a location; raises OSError."""
        file = self._file(location)
        if file is not None:
            with file.open("rb") as opened:
                body = opened.read(_MOST_BYTES + 1)
        else:
            url = self._url(location)
            if url is None or self.fetch is None:
                raise PlaceRefused("the place is not among the allowed ones")
            body = self.fetch(url)
        if len(body) > _MOST_BYTES:
            raise PlaceRefused(f"it is larger than {_MOST_BYTES} bytes")
        return body

    def _file(self, location: str) -> Path | None:
        """The file of that name; a link that leads out of the folder is none."""
        if self.folder is None or not _FILE.fullmatch(location):
            return None
        file = (self.folder / location).resolve()
        return file if file.parent == self.folder.resolve() and file.is_file() else None

    def _url(self, location: str) -> str | None:
        """The URL without the parts of a storage connection string, if a prefix allows it."""
        url = location.split(";", 1)[0]
        parts = urlsplit(url)
        if (
            parts.scheme != "https"
            or not parts.hostname
            or _UNSAFE.search(url.removeprefix("https://").split("?", 1)[0])
        ):
            return None
        return url if any(_under(url, prefix) for prefix in self.prefixes) else None


def _under(url: str, prefix: str) -> bool:
    """Whether a URL is the prefix, or goes on after its `/`."""
    plain = url.split("?", 1)[0]
    return prefix.startswith("https://") and (plain == prefix or plain.startswith(prefix.rstrip("/") + "/"))
