"""Queries in a folder of rules: whole .kql, .csl and .txt files, and fenced code in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(r"^[ \t]*```[ \t]*(?:kql|kusto|KQL|Kusto|csl)?[ \t]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)


def queries(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each query, in the order of the files' names; none twice."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".kql", ".csl", ".txt", ".md") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        parts = _FENCE.findall(text) if path.suffix == ".md" else [text]
        for number, part in enumerate(parts):
            if part not in seen:
                seen.add(part)
                yield f"{path.relative_to(folder)}#{number}", part
