"""The folder that is pulled into: names that no resource can break out of, and nothing left of what is gone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST = "pull.json"
"""Lists the files that a pull wrote: the only ones that the next one may remove."""

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 80
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class FolderError(Exception):
    """The folder cannot be written to; the message says which file, and why."""


@dataclass(slots=True)
class Changes:
    """What a pull did to the folder: paths in it."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def file_stem(name: str) -> str:
    """A file's name without suffix for what is called `name`: letters, digits, `.`, `_` and `-`, never a way out."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = _OTHER.sub("-", plain).strip("-.")[:_LONGEST].strip("-.")
    if not stem:
        return f"unnamed-{_digest(name)}"
    return f"{stem}_" if _RESERVED.fullmatch(stem) else stem


def canonical(value: Any) -> str:
    """JSON that diffs well: sorted keys, two spaces, one line break at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class Folder:
    """Collects files, then brings the folder on disk in line with them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, list[tuple[str, str, str, str]]] = defaultdict(list)

    def add(self, folder: str, name: str, text: str, suffix: str = ".json", *, identity: str = "") -> None:
        """A file in `folder` named after `name`; `identity` tells two of one name apart."""
        self._files[folder].append((file_stem(name), identity or name, suffix, text))

    def store(self, unread: Iterable[str]) -> Changes:
        """Write what differs and remove what an earlier pull wrote and is gone; folders in `unread` keep what they have.

        Raises `FolderError`.
        """
        try:
            return self._store(frozenset(unread))
        except OSError as error:
            raise FolderError(f"{error.filename or self._root}: {error.strerror or error}") from None

    def _store(self, unread: frozenset[str]) -> Changes:
        wanted = dict(self._named())
        changes = Changes()
        self._root.mkdir(parents=True, exist_ok=True)
        for path, text in sorted(wanted.items()):
            (changes.written if self._write(path, text) else changes.unchanged).append(path)
        listed = set(wanted)
        for path in self._listed():
            if path in wanted:
                continue
            if path.partition("/")[0] in unread:
                listed.add(path)
            elif self._remove(path):
                changes.removed.append(path)
        self._write(MANIFEST, canonical({"files": sorted(listed)}))
        return changes

    def _named(self) -> Iterable[tuple[str, str]]:
        for folder, files in self._files.items():
            taken: dict[str, int] = defaultdict(int)
            for stem, _, suffix, _ in files:
                taken[f"{stem}{suffix}".casefold()] += 1
            for stem, identity, suffix, text in files:
                shared = taken[f"{stem}{suffix}".casefold()] > 1
                yield f"{folder}/{stem}{'-' + _digest(identity) if shared else ''}{suffix}", text

    def _place(self, path: str) -> Path:
        """Where a file stands; raises `FolderError` where a link leads out of the folder."""
        place = self._root.joinpath(*PurePosixPath(path).parts)
        if not place.parent.resolve().is_relative_to(self._root.resolve()):
            raise FolderError(f"{place.parent} is a link out of {self._root}")
        return place

    def _write(self, path: str, text: str) -> bool:
        place = self._place(path)
        data = text.encode("utf-8", "backslashreplace")
        if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".pull-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return True

    def _listed(self) -> list[str]:
        """The files of the last pull's manifest that are in this folder."""
        manifest = self._root / MANIFEST
        if not manifest.is_file():
            return []
        try:
            files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        except (ValueError, LookupError, TypeError):
            raise FolderError(f"{manifest} is not as a pull writes it: remove it, or take another folder") from None
        return sorted(one for one in files if isinstance(one, str) and _inside(one))

    def _remove(self, path: str) -> bool:
        place = self._place(path)
        if not place.is_file() or place.is_symlink():
            return False
        place.unlink()
        return True


def _inside(path: str) -> bool:
    parts = path.split("/")
    return len(parts) == 2 and all(file_stem(part) == part for part in parts)
