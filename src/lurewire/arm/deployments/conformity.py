"""Whether a value is of a type that a template declares.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/definitions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.arm.deployments.budget import CALL
from lurewire.arm.deployments.definitions import is_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lurewire.arm.deployments.definitions import Type

    Spend = Callable[[int], None]

_BOUNDS: dict[str, tuple[Callable[[int, int], bool], str]] = {
    "minLength": (lambda size, bound: size >= bound, "is shorter than"),
    "maxLength": (lambda size, bound: size <= bound, "is longer than"),
    "minValue": (lambda value, bound: value >= bound, "is less than"),
    "maxValue": (lambda value, bound: value <= bound, "is more than"),
}
_LONGEST_NAME, _MOST_NAMES = 100, 1_000
_TYPE = 2 * CALL
"""What it costs to look at a value with one type."""


class Mismatch(Exception):
    """A value is not of its type: `path` leads to the part of it that is wrong, empty for the whole of it.

    No value is repeated in `problem`: it may be secure.
    """

    def __init__(self, path: tuple[str, ...], problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = "".join(f"/{step[:_LONGEST_NAME]}" for step in path)


def check_value(value: Any, of: Type, spend: Spend, path: tuple[str, ...] = ()) -> None:
    """Raise `Mismatch` where a value is not of a type; `spend` is told what the check costs, and may raise."""
    if value is None and of.nullable:
        return
    kind = of.kind
    if value is None or (kind is not None and not kind.fits(value)):
        wanted = "not of a type that may be null" if kind is None else f"not of the type '{kind.shown}'"
        raise Mismatch(path, f"is {wanted}")
    for one in of.chain:
        spend(_TYPE)
        if one.allowed is not None:
            _check_allowed(value, one.allowed, spend, path)
        for name, bound in one.bounds.items():
            _check_bound(value, name, bound, path)
        if isinstance(value, dict):
            _check_object(value, one, spend, path)
        elif isinstance(value, list):
            _check_array(value, one, spend, path)


def secure_parts(value: Any, of: Type, spend: Spend) -> Iterator[Any]:
    """The values of a secure type within a value, also within one that is not of its type."""
    for one in of.chain if of.secure else ():
        spend(_TYPE)
        if one.own_kind is not None and one.own_kind.secure:
            yield value
            return
        if isinstance(value, dict):
            shape = _shape(value, one, spend)
            for name, part in value.items():
                for declared in _of_property(shape, name) or ():
                    yield from secure_parts(part, declared, spend)
        elif isinstance(value, list):
            for at, part in enumerate(value):
                declared_item = one.prefix[at] if at < len(one.prefix) else one.rest
                if declared_item is not None and not isinstance(declared_item, bool):
                    yield from secure_parts(part, declared_item, spend)


def _check_allowed(value: Any, allowed: list[Any], spend: Spend, path: tuple[str, ...]) -> None:
    known = {_canonical(one, spend) for one in allowed}
    # An array may be any of the allowed values, or, where none of those is an array, be made of them:
    # https://learn.microsoft.com/azure/azure-resource-manager/bicep/parameters#allowed-values
    if isinstance(value, list) and not any(isinstance(one, list) for one in allowed):
        fits = all(_canonical(one, spend) in known for one in value)
    else:
        fits = _canonical(value, spend) in known
    if not fits:
        raise Mismatch(path, "is not part of the allowed values")


def _canonical(value: Any, spend: Spend) -> bytes:
    try:
        text = msgspec.json.encode(value, order="deterministic")
    except (UnicodeEncodeError, OverflowError):
        text = repr(value).encode("unicode_escape")  # it came from a function: no document can hold it
    spend(len(text))
    return text


def _check_bound(value: Any, name: str, bound: int, path: tuple[str, ...]) -> None:
    if name.endswith("Value") and is_int(value):
        measured = value
    elif name.endswith("Length") and isinstance(value, str | list):
        measured = len(value)
    else:
        raise Mismatch(path, f"has a type that '{name}' does not fit")
    holds, verb = _BOUNDS[name]
    if not holds(measured, bound):
        raise Mismatch(path, f"{verb} '{name}' {bound} allows")


def _check_object(value: dict[str, Any], of: Type, spend: Spend, path: tuple[str, ...]) -> None:
    shape = _shape(value, of, spend)
    for one in shape:
        spend(len(one.properties) + len(one.required))
        if one.discriminator is not None and _variant(value, one) is None:
            known = "', '".join(one.variants)
            raise Mismatch((*path, one.discriminator), f"is not one of '{known[:_MOST_NAMES]}'")
    given = {name.lower() for name in value}
    for one in shape:
        missing = [name for name, kind in one.properties.items() if name.lower() not in given and not kind.nullable]
        missing += [name for name in one.required if name.lower() not in given]
        if missing:
            raise Mismatch((*path, missing[0]), "is missing")
    for name, part in value.items():
        declared = _of_property(shape, name)
        spend(len(shape))
        if declared is None:
            raise Mismatch((*path, name), "is a property that the type does not have")
        for kind in declared:
            check_value(part, kind, spend, (*path, name))


def _shape(value: dict[str, Any], of: Type, spend: Spend) -> list[Type]:
    """What an object's properties are declared by: the variant that its discriminator names, then the type itself."""
    variant = _variant(value, of)
    shape: list[Type] = []
    spend(_TYPE)
    for one in variant.chain if variant is not None else ():
        shape += _shape(value, one, spend)
    return [*shape, of]


def _variant(value: dict[str, Any], of: Type) -> Type | None:
    if of.discriminator is None:
        return None
    wanted = of.discriminator.lower()
    tag = value.get(of.discriminator, next((part for name, part in value.items() if name.lower() == wanted), None))
    return of.variants.get(tag) if isinstance(tag, str) else None


def _of_property(shape: list[Type], name: str) -> list[Type] | None:
    """What a property must be, None where there may be none of that name."""
    lowered = name.lower()
    declared = [one.by_name[lowered] for one in shape if lowered in one.by_name]
    if declared or any(one.discriminator is not None and one.discriminator.lower() == lowered for one in shape):
        return declared
    others = next((one.others for one in shape if one.others is not None), True)
    return None if others is False else [] if others is True else [others]


def _check_array(value: list[Any], of: Type, spend: Spend, path: tuple[str, ...]) -> None:
    if len(value) < len(of.prefix):
        raise Mismatch((*path, str(len(value))), "is missing")
    if of.rest is False and len(value) > len(of.prefix):
        raise Mismatch((*path, str(len(of.prefix))), "is an item that the type does not have")
    for at, part in enumerate(value):
        declared = of.prefix[at] if at < len(of.prefix) else of.rest
        if declared is not None and not isinstance(declared, bool):
            check_value(part, declared, spend, (*path, str(at)))
