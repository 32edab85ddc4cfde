"""xxHash64, the hash of hash() and hash_xxhash64() (https://learn.microsoft.com/kusto/query/hash-xxhash64-function).

The algorithm is Yann Collet's XXH64 with seed 0 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
"""

from __future__ import annotations

import struct

_P1 = 0x9E3779B185EBCA87
_P2 = 0xC2B2AE3D27D4EB4F
_P3 = 0x165667B19E3779F9
_P4 = 0x85EBCA77C2B2AE63
_P5 = 0x27D4EB2F165667C5
_MASK = (1 << 64) - 1


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK


def _round(lane: int, value: int) -> int:
    return _rotated((lane + value * _P2) & _MASK, 31) * _P1 & _MASK


def xxhash64(data: bytes) -> int:
    """The hash as a signed 64-bit number."""
    size, place = len(data), 0
    if size >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while place <= size - 32:
            for index, value in enumerate(struct.unpack_from("<4Q", data, place)):
                lanes[index] = _round(lanes[index], value)
            place += 32
        found = sum(_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            found = ((found ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        found = _P5
    return _finished((found + size) & _MASK, data[place:])


def _finished(found: int, rest: bytes) -> int:
    place, size = 0, len(rest)
    while place + 8 <= size:
        (value,) = struct.unpack_from("<Q", rest, place)
        found = (_rotated(found ^ _round(0, value), 27) * _P1 + _P4) & _MASK
        place += 8
    if place + 4 <= size:
        (value,) = struct.unpack_from("<I", rest, place)
        found = (_rotated(found ^ (value * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        place += 4
    for byte in rest[place:]:
        found = _rotated(found ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    found = (found ^ found >> 33) * _P2 & _MASK
    found = (found ^ found >> 29) * _P3 & _MASK
    found ^= found >> 32
    return found - (1 << 64) if found >> 63 else found
