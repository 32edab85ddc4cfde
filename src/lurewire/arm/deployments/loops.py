"""Copy loops: a loop's body once for each index, each expression in it knowing the index.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/copy-resources, copy-properties,
copy-variables and copy-outputs beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lurewire.arm.deployments.budget import NODE
from lurewire.arm.errors import InvalidTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LOOP = 800
"""Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/copy-resources#copy-limits"""

UNNAMED = ""
"""The key, among loops, of the one that `copyIndex()` without a name means."""

_RESOURCE_LOOP = {"name", "count", "mode", "batchSize"}


class Evaluate(Protocol):
    """What gives the value of a template's expressions."""

    def __call__(self, value: Any, where: str) -> Any:
        """The value; raises `InvalidTemplate`."""
        ...

    def spend(self, units: int, where: str) -> None:
        """Pay for work on the template; raises `InvalidTemplate`."""
        ...


class Bound(str):  # noqa: SLOT000 - it carries an attribute
    """An expression inside copy loops, with the index that each loop has there."""

    loops: dict[str, int]

    @classmethod
    def of(cls, text: str, loops: dict[str, int]) -> str:
        """`text` with the loops around it; text without an expression stays as it is."""
        if not loops or not text.startswith("["):
            return text
        made = cls(text)
        made.loops = (text.loops if isinstance(text, Bound) else {}) | loops
        return made


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of a resource; `batch` is how many are deployed at a time, None for all at once."""

    name: str
    count: int
    batch: int | None


def unroll(value: Any, loops: dict[str, int], evaluate: Evaluate, where: str) -> Any:
    """`value` with the property loops inside it unrolled, every expression bound to `loops` and its own.

    `evaluate` gives the value of a loop's count. Raises `InvalidTemplate`.
    """
    if loops:
        evaluate.spend(NODE, where)
    if isinstance(value, str):
        return Bound.of(value, loops)
    if isinstance(value, list):
        return [unroll(item, loops, evaluate, f"{where}/{index}") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for name, child in value.items():
        if name.lower() == "copy" and is_loops(child):
            result.update(property_loops(child, loops, evaluate, f"{where}/{name}"))
        else:
            result[Bound.of(name, loops)] = unroll(child, loops, evaluate, f"{where}/{name}")
    return result


def is_loops(value: Any) -> bool:
    """Whether the value of a property `copy` is a list of loops, and not a property of that name."""
    return isinstance(value, list) and any(isinstance(one, dict) and "count" in one for one in value)


def property_loops(
    value: Any, loops: dict[str, int], evaluate: Evaluate, where: str
) -> Iterator[tuple[str, list[Any]]]:
    """Name and unrolled array of each loop of a property's or the variables' `copy`; raises `InvalidTemplate`."""
    for index, loop in enumerate(value):
        place = f"{where}/{index}"
        if not isinstance(loop, dict) or set(loop) != {"name", "count", "input"} or not isinstance(loop["name"], str):
            raise InvalidTemplate.at(place, "a loop has the form {name, count, input}")
        name = loop["name"]
        size = loop_count(evaluate(Bound.of(str(loop["count"]), loops), f"{place}/count"), f"{place}/count")
        yield (
            name,
            [unroll(loop["input"], loops | {name.lower(): at}, evaluate, f"{place}/input") for at in range(size)],
        )


def resource_loop(raw: Any, evaluate: Evaluate, where: str) -> Loop:
    """The loop of a resource; raises `InvalidTemplate`."""
    if not isinstance(raw, dict) or "count" not in raw:
        raise InvalidTemplate.at(where, "the loop of a resource has the form {name, count, mode?, batchSize?}")
    other = sorted(set(raw) - _RESOURCE_LOOP)
    if other:
        raise InvalidTemplate.at(f"{where}/{other[0]}", f"'{other[0]}' is not supported in the loop of a resource")
    name = evaluate(raw.get("name", ""), f"{where}/name")
    mode = str(evaluate(raw.get("mode", "Parallel"), f"{where}/mode")).lower()
    if not isinstance(name, str) or mode not in ("parallel", "serial"):
        raise InvalidTemplate.at(where, "a loop's 'name' is a string and its 'mode' is Parallel or Serial")
    batch = evaluate(raw.get("batchSize", 1), f"{where}/batchSize")
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise InvalidTemplate.at(f"{where}/batchSize", "'batchSize' must be an integer greater than 0")
    if mode == "parallel" and "batchSize" in raw:
        raise InvalidTemplate.at(f"{where}/batchSize", "'batchSize' belongs to the mode Serial")
    size = loop_count(evaluate(raw["count"], f"{where}/count"), f"{where}/count")
    return Loop(name, size, batch if mode == "serial" else None)


def loop_count(value: Any, where: str) -> int:
    """How often a loop runs; raises `InvalidTemplate`."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(LONGEST_LOOP)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LONGEST_LOOP:
        raise InvalidTemplate.at(where, f"'count' must be an integer from 0 to {LONGEST_LOOP}")
    return value
