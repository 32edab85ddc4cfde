"""All functions and aggregates, by every name they answer to. A new family is a module and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import aggregates, conditional, conversion, dates, dynamics, math, network, strings

if TYPE_CHECKING:
    from .registry import Aggregate, Function

FAMILIES = {
    "Conversion and type": conversion.FUNCTIONS,
    "Conditional": conditional.FUNCTIONS,
    "Mathematical": math.FUNCTIONS,
    "Datetime and timespan": dates.FUNCTIONS,
    "String": strings.FUNCTIONS,
    "Dynamic": dynamics.FUNCTIONS,
    "IPv4": network.FUNCTIONS,
}

FUNCTIONS: dict[str, Function] = {
    name: row for family in FAMILIES.values() for row in family for name in (row.name, *row.aliases)
}
AGGREGATES: dict[str, Aggregate] = {name: row for row in aggregates.AGGREGATES for name in (row.name, *row.aliases)}
