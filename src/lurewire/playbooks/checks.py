"""What validation of a definition has in common: places, refusals, and who may refer to what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from lurewire.expressions import Call, FunctionTable, Literal, Syntax, check, parse, references
from lurewire.expressions.evaluator import strings
from lurewire.expressions.parser import is_expression
from lurewire.playbooks.errors import InvalidTemplate, NotSupported
from lurewire.playbooks.functions import TABLE, TRIGGER_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.core.limits import Limits

_READS_ACTION = frozenset({"body", "outputs", "actions", "result"})
_READS_LOOP = frozenset({"items", "iterationindexes"})


def refuse(message: str, where: str) -> NoReturn:
    """Raise `InvalidTemplate`, as Azure would refuse the definition too."""
    raise InvalidTemplate(f"The template validation failed at '{where}': {message}")


def unsupported(message: str, where: str) -> NoReturn:
    """Raise `NotSupported`, where Azure would take it."""
    raise NotSupported(f"Not supported at '{where}': {message}")


@dataclass(slots=True)
class Known:
    """What the whole definition declares."""

    limits: Limits
    parameters: frozenset[str]  # lower case
    variables: dict[str, str] = field(default_factory=dict)  # name in lower case to type
    actions: dict[str, str] = field(default_factory=dict)  # name in lower case to name


@dataclass(slots=True)
class Check:
    """One action (or trigger) under validation: `loops` are the names of the loops around it.

    What is defined is found by its name without case, as in Azure.
    """

    name: str
    definition: dict[str, Any]
    where: str
    known: Known
    loops: tuple[str, ...] = ()
    top_level: bool = True
    table: FunctionTable[Any] = TABLE
    reads: set[str] = field(default_factory=set)
    """The actions that its own expressions refer to; filled by `expressions`."""

    @property
    def inputs(self) -> dict[str, Any]:
        """`inputs`, which must be an object."""
        return self.mapping(self.definition.get("inputs"), "inputs")

    def refuse(self, message: str, place: str = "") -> NoReturn:
        """Raise `InvalidTemplate` at `place` below the action."""
        refuse(message, self._at(place))

    def unsupported(self, message: str, place: str = "") -> NoReturn:
        """Raise `NotSupported` at `place` below the action."""
        unsupported(message, self._at(place))

    def mapping(self, value: Any, place: str) -> dict[str, Any]:
        """`value`, which must be an object."""
        if not isinstance(value, dict):
            self.refuse("it must be an object", place)
        return value

    def only(self, value: dict[str, Any], names: frozenset[str], place: str) -> None:
        """Refuse a property that is not known here."""
        for name in value:
            if name not in names:
                known = ", ".join(sorted(names))
                self.unsupported(f"the property '{name[:80]}'; the properties here are {known}", place)

    def required(self, value: dict[str, Any], names: tuple[str, ...], place: str) -> None:
        """Refuse where a property is missing."""
        for name in names:
            if name not in value:
                self.refuse(f"the property '{name}' is required", place)

    def literal(self, value: Any, place: str, allowed: tuple[str, ...]) -> str:
        """A constant out of `allowed` (without case), in its documented spelling."""
        known = {candidate.lower(): candidate for candidate in allowed}
        found = known.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            shown = value[:60] if isinstance(value, str) else type(value).__name__
            self.refuse(f"'{shown}' is not one of {', '.join(allowed)}", place)
        return found

    def whole_number(self, value: Any, place: str, least: int, most: int) -> int:
        """An integer in bounds."""
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(f"it must be an integer from {least} to {most}", place)
        return value

    def expressions(self, value: Any, place: str) -> None:
        """Refuse expressions in `value` that do not parse, or that name what does not exist."""
        where = self._at(place)
        for error in check(value, self.table, Syntax.WORKFLOW, where):
            raise InvalidTemplate(f"The template validation failed: {error}")
        for source, at in strings(value, where):
            if is_expression(source, Syntax.WORKFLOW):
                for tree in parse(source).trees:
                    for call in references(tree):
                        self._reference(call, at)

    def constant(self, value: Any, place: str) -> None:
        """Refuse expressions in `value`: they are not evaluated there."""
        for source, at in strings(value, self._at(place)):
            if is_expression(source, Syntax.WORKFLOW) and parse(source).trees:
                unsupported("an expression; only constants are supported here", at)

    def _at(self, place: str) -> str:
        return f"{self.where}/{place}" if place else self.where

    def _reference(self, call: Call, where: str) -> None:
        name = call.name.lower()
        argument = call.arguments[0] if call.arguments else None
        if not isinstance(argument, Literal) or not isinstance(argument.value, str):
            return
        target = argument.value
        if name in _READS_ACTION:
            found = self.known.actions.get(target.lower())
            if found is None:
                refuse(f"the action '{target}', referenced by '{call.name}', is not defined in the template", where)
            self.reads.add(found)
        elif name in _READS_LOOP and target.lower() not in (loop.lower() for loop in self.loops):
            refuse(f"'{target}', referenced by '{call.name}', is not a loop around this action", where)
        elif name == "parameters" and target.lower() not in self.known.parameters:
            refuse(f"the parameter '{target}' is not defined in the template", where)
        elif name == "variables" and target.lower() not in self.known.variables:
            refuse(f"the variable '{target}' is not initialized by any action", where)


def trigger_check(name: str, definition: dict[str, Any], where: str, known: Known) -> Check:
    """A trigger under validation: `listCallbackUrl` is known there, and no action is."""
    return Check(name, definition, where, known, table=TRIGGER_TABLE)


def members(value: Any, where: str, most: int, what: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The objects of a named collection, each with its path; refuses anything else, and more than `most`."""
    if value is None:
        return
    if not isinstance(value, dict):
        refuse("it must be an object", where)
    if len(value) > most:
        refuse(f"it has {len(value)} {what}; the limit is {most}", where)
    seen: set[str] = set()
    for name, member in value.items():
        at = f"{where}/{name}"
        if name.lower() in seen:
            refuse(f"the name '{name[:80]}' is used twice, with other capitals", at)
        seen.add(name.lower())
        if not isinstance(member, dict):
            refuse("it must be an object", at)
        yield name, member, at
