"""What a template's expressions may ask for, and whether an answer rests on a secure value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import ExpressionError, FunctionError, Syntax, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lurewire.expressions import FunctionTable


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter's or variable's value; `secret` where a secure parameter is in it."""

    value: Any
    secret: bool


@dataclass(slots=True)
class Names:
    """Parameters or variables: computed when first asked for, found without case."""

    what: str
    sources: dict[str, Callable[[], Value]] = field(default_factory=dict)
    _known: dict[str, Value] = field(default_factory=dict)
    _asked: list[str] = field(default_factory=list)

    def get(self, name: str) -> Value:
        """The value of `name`; raises `FunctionError` where there is none or where it rests on itself."""
        key = name.lower()
        if key in self._known:
            return self._known[key]
        if key not in self.sources:
            raise FunctionError(f"was asked for '{name}', and the template defines no such {self.what}.")
        if key in self._asked:
            circle = " -> ".join([*self._asked[self._asked.index(key) :], key])
            raise FunctionError(f"found a {self.what} that rests on itself: {circle}.")
        self._asked.append(key)
        try:
            self._known[key] = self.sources[key]()
        finally:
            self._asked.pop()
        return self._known[key]


@dataclass(slots=True)
class Context:
    """The context of the functions in `functions`: facts of the deployment, its names, and how to look at resources.

    `reference` gets a resource's name or id, the api-version and whether all of it is wanted; it is None where Azure
    allows no `reference`. `secret` becomes true as soon as a secure parameter is read.
    """

    tenant_id: str
    subscription: dict[str, Any]
    group: dict[str, Any]
    deployment: dict[str, Any]
    now: datetime
    parameters: Names = field(default_factory=lambda: Names("parameter"))
    variables: Names = field(default_factory=lambda: Names("variable"))
    reference: Callable[[str, str | None, bool], Any] | None = None
    secret: bool = False

    def named(self, names: Names, name: str) -> Any:
        """The value of a parameter or variable, noting whether it is secret."""
        found = names.get(name)
        self.secret = self.secret or found.secret
        return found.value

    def watch(self, value: Any, table: FunctionTable[Context], where: str) -> Value:
        """Evaluate `value`, and know whether a secure parameter was read on the way; raises `InvalidTemplate`."""
        before, self.secret = self.secret, False
        try:
            evaluated = evaluate(value, table, self, Syntax.ARM, where)
            return Value(evaluated, self.secret)
        except ExpressionError as error:
            raise InvalidTemplate(f"Deployment template validation failed: {error}", target=where) from error
        finally:
            self.secret = self.secret or before
