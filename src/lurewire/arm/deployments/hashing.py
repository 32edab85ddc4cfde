"""`uniqueString` and `guid`: the same text as Azure's, because names of deployed resources depend on them.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#uniquestring and
https://learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-functions-string#guid. The hash is MurmurHash3 in its
form of two lanes of 32 bits, seed 0, checked against values that Azure computed (tests/arm/test_functions.py); `guid` is
the version 5 UUID that its documentation describes.
"""

from __future__ import annotations

import uuid

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_GUID_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")
_WORD = 0xFFFFFFFF
_C1, _C2 = 0xAB0E9789, 0x239B961B
_MIX1, _MIX2 = 0x561CCD1B, 0x0BCAA747
_FINAL1, _FINAL2 = 0x85EBCA6B, 0xC2B2AE35


def arm_guid(texts: list[str]) -> str:
    """The version 5 UUID of the texts, joined by hyphens."""
    return str(uuid.uuid5(_GUID_NAMESPACE, "-".join(texts)))


def unique_string(texts: list[str]) -> str:
    """13 characters that follow from the texts, joined by hyphens."""
    bits = _murmur("-".join(texts).encode("utf-8"))
    # 64 bits in groups of 5 from the top; the last group has 4 and is filled with a 0 at the end.
    return "".join(_ALPHABET[(bits << 1 >> shift) & 31] for shift in range(60, -1, -5))


def _murmur(data: bytes) -> int:
    first = second = 0
    whole = len(data) - len(data) % 8
    for at in range(0, whole, 8):
        first ^= _scramble(int.from_bytes(data[at : at + 4], "little"), _C2, 15, _C1)
        first = (_rotate(first, 19) + second) * 5 + _MIX1 & _WORD
        second ^= _scramble(int.from_bytes(data[at + 4 : at + 8], "little"), _C1, 17, _C2)
        second = (_rotate(second, 13) + first) * 5 + _MIX2 & _WORD
    tail = data[whole:]
    first ^= _scramble(int.from_bytes(tail[:4], "little"), _C2, 15, _C1)
    second ^= _scramble(int.from_bytes(tail[4:], "little"), _C1, 17, _C2)
    second ^= len(data)
    first = (first ^ len(data)) + second & _WORD
    second = second + first & _WORD
    first, second = _finish(first), _finish(second)
    first = first + second & _WORD
    second = second + first & _WORD
    return second << 32 | first


def _scramble(word: int, before: int, rotation: int, after: int) -> int:
    return _rotate(word * before & _WORD, rotation) * after & _WORD


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD


def _finish(word: int) -> int:
    word = (word ^ word >> 16) * _FINAL1 & _WORD
    word = (word ^ word >> 13) * _FINAL2 & _WORD
    return word ^ word >> 16
