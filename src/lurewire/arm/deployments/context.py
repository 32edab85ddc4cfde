"""What a template's expressions may ask for, and whether an answer rests on a secure value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.budget import EVALUATION, size_of
from lurewire.arm.deployments.loops import Bound
from lurewire.arm.deployments.secrecy import Redactor, texts
from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import ExpressionError, FunctionError, Syntax, evaluate, pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from lurewire.arm.deployments.budget import Budget
    from lurewire.arm.deployments.links import Link
    from lurewire.expressions import FunctionTable


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter's or variable's value; `secret` where a secure parameter is in it."""

    value: Any
    secret: bool


_DEEP = 10
"""Names computed inside each other on the stack; one further down is computed by itself first."""


class _Deeper(Exception):
    """A name is asked for too deep in the computation of others."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(slots=True)
class Names:
    """Parameters or variables: computed when first asked for, found without case.

    Azure allows 256 variables, each of which may rest on the one before: more than the stack holds at once.
    """

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
        if not self._asked:
            return self._outermost(key)
        self._check_circle(self._asked, key)
        if len(self._asked) >= _DEEP:
            raise _Deeper(key)
        return self._compute(key)

    def _outermost(self, key: str) -> Value:
        wanted = [key]
        while True:
            try:
                found = self._compute(wanted[-1])
            except _Deeper as signal:
                self._check_circle(wanted, signal.key)
                wanted.append(signal.key)
                continue
            wanted.pop()
            if not wanted:
                return found

    def _compute(self, key: str) -> Value:
        self._asked.append(key)
        try:
            self._known[key] = self.sources[key]()
        finally:
            self._asked.pop()
        return self._known[key]

    def _check_circle(self, asked: list[str], key: str) -> None:
        if key in asked:
            circle = " -> ".join([*asked[asked.index(key) :], key])
            raise FunctionError(f"found a {self.what} that rests on itself: {circle}.")


@dataclass(slots=True)
class Runtime:
    """What only a running deployment can answer: its own resources and those that are there already.

    `reference` gets a resource's name, symbolic name or id, the api-version and whether all of it is wanted;
    `references` a loop's symbolic name and whether all is wanted; `listing` a `list...` function's name, the resource,
    the api-version and the values to pass.
    """

    reference: Callable[[str, str | None, bool], Any]
    references: Callable[[str, bool], list[Any]]
    listing: Callable[[str, str, str, Any], Any]


@dataclass(slots=True)
class Context:
    """The context of the functions in `functions`: facts of the deployment, its names, and how to look at resources.

    `group` and `management_group` are None where the deployment is at no such scope; `prefix` is the id of what its
    resources stand in, empty for the tenant. `runtime` is None where Azure allows no `reference`. `loops` has the
    index of each copy loop around the expression, the innermost loop of a resource or an output under the empty name
    too. `own` is the table with the template's own functions, `depth` how many of them are being called; `budget` is
    what evaluating may still cost. `secret` becomes true as soon as a secure parameter is read. `parts` are the secure
    values within parameters that are not secure as a whole. `link` is where the template is from, None: from the request.
    """

    tenant_id: str
    subscription: dict[str, Any] | None
    group: dict[str, Any] | None
    deployment: dict[str, Any]
    now: datetime
    budget: Budget
    prefix: str = ""
    management_group: dict[str, Any] | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    providers: Callable[[str, str | None], Any] | None = None
    parameters: Names = field(default_factory=lambda: Names("parameter"))
    variables: Names = field(default_factory=lambda: Names("variable"))
    runtime: Runtime | None = None
    loops: dict[str, int] = field(default_factory=dict)
    lambdas: dict[str, Any] = field(default_factory=dict)
    own: FunctionTable[Context] | None = None
    depth: int = 0
    secret: bool = False
    parts: tuple[str, ...] = ()
    link: Link | None = None
    _hides: Redactor | None = None

    def named(self, names: Names, name: str) -> Any:
        """The value of a parameter or variable, noting whether it is secret."""
        found = names.get(name)
        self.secret = self.secret or found.secret
        return found.value

    def hide(self, parts: Iterable[Any]) -> None:
        """From now on what holds one of `parts` is secret."""
        self.parts = tuple(dict.fromkeys((*self.parts, *(text for part in parts for text in texts(part)))))
        self._hides = None

    def _holds_secret(self, value: Any) -> bool:
        if not self.parts:
            return False
        if self._hides is None:
            self._hides = Redactor(self.parts)
        self.budget.spend(self._hides.cost(value))
        return bool(self._hides(value) != value)

    def notice(self, arguments: Iterable[Any], result: Any) -> None:
        """Note that a function made something of a secure part that does not show it any more.

        Raises `FunctionError` where nothing is left to pay for it with.
        """
        if (
            self.parts
            and any(isinstance(one, str) and self._holds_secret(one) for one in arguments)
            and not self._holds_secret(result)
        ):
            self.secret = True

    def watch(self, value: Any, table: FunctionTable[Context], where: str, *, parts: bool = True) -> Value:
        """Evaluate `value`, and know whether a secure parameter was read on the way; raises `InvalidTemplate`.

        `parts` counts what holds a secure part of a parameter too: not so where only something of the value is used.
        """
        before, self.secret = self.secret, False
        try:
            self.spend(EVALUATION, where)
            found = self._tree(value, self.own or table, where)
            self.budget.spend(size_of(found, plain=True))
            return Value(found, self.secret or (parts and self._holds_secret(found)))
        except ExpressionError as error:
            raise InvalidTemplate(f"Deployment template validation failed: {error}", target=where) from error
        except FunctionError as error:
            raise _refused(error, where) from None
        finally:
            self.secret = self.secret or before

    def spend(self, units: int, where: str) -> None:
        """Pay for work on the template; raises `InvalidTemplate`."""
        try:
            self.budget.spend(units)
        except FunctionError as error:
            raise _refused(error, where) from None

    def _tree(self, value: Any, table: FunctionTable[Context], where: str) -> Any:
        if isinstance(value, Bound):
            outside = self.loops
            self.loops = outside | value.loops
            try:
                return evaluate(str(value), table, self, Syntax.ARM, where)
            finally:
                self.loops = outside
        if isinstance(value, list):
            return [self._tree(item, table, f"{where}/{index}") for index, item in enumerate(value)]
        if isinstance(value, dict):
            result: dict[str, Any] = {}
            for name, item in value.items():
                result[self._name(name, table, where)] = self._tree(item, table, f"{where}/{pointer(name)}")
            return result
        if not isinstance(value, str) or not value.startswith("["):
            return value
        return evaluate(value, table, self, Syntax.ARM, where)

    def _name(self, name: str, table: FunctionTable[Context], where: str) -> str:
        if not name.startswith("["):
            return name
        outside = self.loops
        self.loops = outside | (name.loops if isinstance(name, Bound) else {})
        try:
            [evaluated] = evaluate({str(name): None}, table, self, Syntax.ARM, where)
        finally:
            self.loops = outside
        return str(evaluated)


def _refused(error: FunctionError, where: str) -> InvalidTemplate:
    return InvalidTemplate(f"Deployment template validation failed: what is at {where} {error.detail}", target=where)
