"""What a watchlist is uploaded as: CSV or TSV whose first line names the columns.

Sources: https://learn.microsoft.com/rest/api/securityinsights/watchlists/create-or-update (content types, lines to skip),
https://learn.microsoft.com/azure/sentinel/watchlists-manage#bulk-update-a-watchlist (no blank search keys) and
https://learn.microsoft.com/azure/sentinel/sentinel-service-limits#watchlist-limits.
"""

from __future__ import annotations

import csv
import hashlib
import io
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lurewire.core.limits import Limits

DELIMITERS = {"text/csv": ",", "text/tsv": "\t"}
"""Content types, without case, and what stands between two values."""


class BadContent(ValueError):
    """The content is no list of items; says in which line, counted from 1, and why."""


def items(
    text: str, content_type: str, skip: int, search_key: str, limits: Limits, seen: set[bytes]
) -> Iterator[dict[str, str]]:
    """The rows of `text` behind its header as values by column, each once; `skip` lines stand before the header.

    Those whose digests are in `seen` are left out; of all others the digests are in it at the end. Raises `BadContent`.
    """
    lines = _Lines(text.removeprefix("\ufeff"), limits["workspace.watchlist_line_characters"])
    for _ in range(skip):
        if next(lines, None) is None:
            raise BadContent(f"it has {lines.number} lines, and {skip} are to be skipped before the header")
    reader = csv.reader(lines, delimiter=DELIMITERS[content_type], strict=True)
    try:
        header = next((row for row in reader if row), None)
        if header is None:
            raise BadContent("it has no header, the line that names the columns")
        _check_header(header, search_key, lines.number, limits)
        yield from _rows(reader, header, search_key, lines, limits, seen)
    except csv.Error as error:
        raise BadContent(f"line {lines.number}: {error}") from None


def check_columns(names: Iterable[str], limits: Limits) -> None:
    """Raises `BadContent` for what cannot be the names of a watchlist's columns, or is too many of them."""
    found = list(names)
    most, longest = limits["workspace.watchlist_columns"], limits["workspace.watchlist_column_characters"]
    if len(found) > most:
        raise BadContent(f"{len(found)} columns are more than the {most} that a watchlist has at most")
    for name in found:
        if not name.strip() or not name.isprintable() or len(name) > longest:
            rule = f"1 to {longest} printable characters"
            raise BadContent(f"{name[:80]!r} cannot be the name of a column: it has {rule}")


def digest(values: dict[str, Any], most: int | None = None) -> bytes:
    """What equal items have in common, and others do not. Raises `BadContent` for an item of more than `most` bytes."""
    text = msgspec.json.encode(values, order="sorted")
    if most is not None and len(text) > most:
        raise BadContent(f"an item of {len(text)} bytes is longer than {most}")
    return hashlib.blake2b(text, digest_size=16).digest()


class _Lines:
    """The lines of a text with their ends, counted, within the limit of one; a quoted value may go over several."""

    def __init__(self, text: str, longest: int) -> None:
        self._lines = io.StringIO(text, newline="")
        self._longest = longest
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if len(line.rstrip("\r\n")) > self._longest:
            raise BadContent(f"line {self.number} has more than {self._longest} characters")
        return line


def _check_header(header: list[str], search_key: str, line: int, limits: Limits) -> None:
    try:
        check_columns(header, limits)
    except BadContent as error:
        raise BadContent(f"line {line}: {error}") from None
    double = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if double is not None:
        raise BadContent(f"line {line}: the column '{double[:80]}' is there twice")
    if search_key not in header:
        named = ", ".join(f"'{name[:40]}'" for name in header[:20])
        raise BadContent(f"line {line}: itemsSearchKey '{search_key[:80]}' is none of the columns {named}")


def _rows(
    reader: Iterable[list[str]], header: list[str], search_key: str, lines: _Lines, limits: Limits, seen: set[bytes]
) -> Iterator[dict[str, str]]:
    longest = limits["workspace.watchlist_item_bytes"]
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise BadContent(f"line {lines.number} has {len(row)} values, and there are {len(header)} columns")
        item = dict(zip(header, row, strict=True))
        if not item[search_key].strip():
            raise BadContent(f"line {lines.number}: the value of '{search_key[:80]}', the search key, is blank")
        try:
            known = digest(item, longest)
        except BadContent as error:
            raise BadContent(f"line {lines.number}: {error}") from None
        except UnicodeEncodeError:
            raise BadContent(f"line {lines.number} has half of a surrogate pair, which is no character") from None
        if known not in seen:
            seen.add(known)
            yield item
