"""What an address is used for, by the PyPI package `iporigin`: datacentre, VPN, Tor exit, crawler.

An address is looked up through the package's public function. Ranges are listed, which that API cannot, from its data
file, whose format is documented at the top of
https://github.com/Yuix-Networks/iporigin/blob/main/tools/build_dataset.py and carries a version.
"""

from __future__ import annotations

import functools
import importlib.resources
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import iporigin

from lurewire.ipintel.errors import DataError
from lurewire.ipintel.scoring import KINDS
from lurewire.ipintel.sources import EXCLUDED, LABELS

if TYPE_CHECKING:
    from lurewire.ipintel.addresses import Address

_MAGIC = b"IPORIGIN"
_VERSION = 1
_HEADER = struct.Struct("<8sHQHII")
_LENGTH = struct.Struct("<H")
_V4_RECORD = struct.Struct("<IIH")


@dataclass(frozen=True, slots=True)
class Label:
    """A `provider` as the package names it, its `kind` (a key of `scoring.KINDS`) and the key of its source."""

    provider: str
    kind: str
    source: str


@functools.cache
def _label(provider: str, kind: str) -> Label | None:
    source = LABELS.get(provider)
    return Label(provider, kind, source) if source is not None and kind in KINDS else None


def label_of(address: Address) -> Label | None:
    """The label of a public address; None where there is none, or none whose source has a licence."""
    origin = iporigin.classify(address)
    return _label(origin.provider, origin.kind)


def unknown_labels() -> list[str]:
    """Labels of the installed package that this version does not know, and so leaves out until their terms are read."""
    return sorted(set(iporigin.dataset_info()["providers"]) - LABELS.keys() - EXCLUDED.keys())


def ranges(kind: str) -> list[tuple[int, int, Label]]:
    """The IPv4 ranges (first, last, label) of one kind, in ascending order.

    Raises `DataError` where the package's data has another format than the one that is documented.
    """
    blob = (importlib.resources.files(iporigin) / "data" / "ranges.bin").read_bytes()
    try:
        magic, version, _, label_count, v4_count, _ = _HEADER.unpack_from(blob)
        if (magic, version) != (_MAGIC, _VERSION):
            raise DataError(_unreadable(f"its data has format {magic!r} {version}"))
        offset = _HEADER.size
        labels: list[Label | None] = []
        for _ in range(label_count):
            (length,) = _LENGTH.unpack_from(blob, offset)
            offset += _LENGTH.size
            provider, _, label_kind = blob[offset : offset + length].decode("utf-8").partition("\t")
            labels.append(_label(provider, label_kind))
            offset += length
        records = _V4_RECORD.iter_unpack(blob[offset : offset + v4_count * _V4_RECORD.size])
        named = [(first, last, labels[index]) for first, last, index in records]
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise DataError(_unreadable(f"its data ends or breaks off early ({error})")) from None
    if len(named) != iporigin.dataset_info()["ipv4_ranges"]:
        raise DataError(_unreadable("its data and its own count of ranges differ"))
    return [(first, last, label) for first, last, label in named if label is not None and label.kind == kind]


def _unreadable(why: str) -> str:
    return (
        f"iporigin {iporigin.__version__}: {why}; this Lurewire reads format {_MAGIC.decode()} {_VERSION}. "
        "Install the version of iporigin that Lurewire's lock file names."
    )
