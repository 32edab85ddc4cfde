"""Disks that are small enough to be full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[bool]:
    """A file system of its own at the new folder `at`, where this process may mount one; tells whether it did."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)]
    may = os.geteuid() == 0 and "LUREWIRE_NO_MOUNT" not in os.environ
    mounted = may and subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(at)], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    """Take all the space that is left, but for `leave` bytes."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    if leave:
        os.truncate(ballast, ballast.stat().st_size - leave)


def free(disk: Path) -> None:
    """Give back what `fill` took."""
    (disk / "ballast").unlink(missing_ok=True)
