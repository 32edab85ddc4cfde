"""What a function is: one row says its names, parameters, result, null behaviour, and how each dialect prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lurewire.kql.types import ALL_TYPES, INTEGERS, NUMBERS, ORDERED, KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlglot import exp

    from lurewire.kql import plan, tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.udf import Udf

#: How the column of an unnamed call is called (kinds of the published grammar's ResultNameKind):
#: by default, after its first argument, with a prefix, or by the prefix alone.
NameRule = Literal["default", "first", "prefix_first", "only"]

DOCUMENTATION = "https://learn.microsoft.com/kusto/query/"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: the types it accepts, the type they are converted to, and whether it must be a literal."""

    name: str
    accepts: frozenset[KqlType] = ALL_TYPES
    convert: KqlType | None = None
    literal: bool = False


def param(name: str, kind: KqlType, *, literal: bool = False) -> Param:
    """A parameter of one type; a dynamic value converts to it, an int to long and any number to real."""
    accepts = {kind, KqlType.DYNAMIC}
    if kind is KqlType.LONG:
        accepts |= INTEGERS
    if kind is KqlType.REAL:
        accepts |= NUMBERS
    return Param(name, frozenset(accepts), kind, literal)


def text(name: str, *, literal: bool = False) -> Param:
    """A string parameter."""
    return param(name, KqlType.STRING, literal=literal)


def whole(name: str, *, literal: bool = False) -> Param:
    """A whole-number parameter."""
    return param(name, KqlType.LONG, literal=literal)


def real(name: str) -> Param:
    """A real parameter."""
    return param(name, KqlType.REAL)


def moment(name: str) -> Param:
    """A datetime parameter."""
    return param(name, KqlType.DATETIME)


def span(name: str) -> Param:
    """A timespan parameter."""
    return param(name, KqlType.TIMESPAN)


def flag(name: str) -> Param:
    """A bool parameter."""
    return param(name, KqlType.BOOL)


def dynamic(name: str) -> Param:
    """A dynamic parameter."""
    return Param(name, frozenset({KqlType.DYNAMIC}))


def anything(name: str) -> Param:
    """A parameter of any type."""
    return Param(name)


def number(name: str) -> Param:
    """A parameter of any numeric type, kept as it is; a dynamic value becomes real."""
    return Param(name, NUMBERS | {KqlType.DYNAMIC})


def ordered(name: str) -> Param:
    """A parameter of a type that has an order."""
    return Param(name, ORDERED)


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A scalar function.

    `params` are the positional parameters, of which the last `optional` may be left out; with `variadic` the last one
    repeats. `result` is a type or a rule over the bound arguments. A call is null where an argument is, unless
    `never_null`; `makes_null` says that it may be null of itself. `bind` builds the plan node where a plain call will
    not do. `lower` has one entry per dialect; it calls `udf` where SQL alone will not do.
    """

    name: str
    params: tuple[Param, ...]
    result: KqlType | Callable[[Sequence[plan.Scalar]], KqlType] = KqlType.STRING
    lower: Mapping[str, Callable[[Sequence[exp.Expression], plan.Call], exp.Expression]] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    optional: int = 0
    variadic: bool = False
    never_null: bool = False
    makes_null: bool = False
    deterministic: bool = True
    naming: NameRule = "default"
    #: What the column of an unnamed call is called, or begins with, if not like the function.
    label: str | None = None
    bind: Callable[[ExpressionBinder, tree.Call, Function], plan.Scalar] | None = None
    page: str | None = None
    least: int | None = None
    udf: Udf | None = None
    #: The result is an array whose elements are columns where the call stands alone: their names and types.
    columns: Callable[[tree.Call], tuple[tuple[str, KqlType], ...]] | None = None

    @property
    def documentation(self) -> str:
        """The page of Microsoft's reference."""
        page = self.page or self.name.replace("_", "-") + "-function"
        return page if page.startswith("https:") else DOCUMENTATION + page


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """An aggregate function.

    `conditional` says that a predicate follows the first parameter (the -if forms). `limit` is the position of an
    optional maximum size. `several` marks arg_max and its kin, whose further arguments are result columns too.
    """

    name: str
    params: tuple[Param, ...]
    result: KqlType | Callable[[Sequence[plan.Scalar]], KqlType]
    lower: Mapping[str, Callable[..., list[exp.Expression]]]
    prefix: str | None = None
    aliases: tuple[str, ...] = ()
    optional: int = 0
    conditional: bool = False
    sized: bool = False
    several: bool = False
    deterministic: bool = True
    ordered: bool = False
    page: str | None = None
    #: The last parameter repeats.
    variadic: bool = False
    #: The names of the result columns where a call has several, and how many there are.
    labels: Callable[[tree.Call], tuple[str, ...]] | None = None

    @property
    def documentation(self) -> str:
        """The page of Microsoft's reference."""
        return f"{DOCUMENTATION}{self.page or self.name.replace('_', '-') + '-aggregation-function'}"


def same_as(position: int) -> Callable[[Sequence[plan.Scalar]], KqlType]:
    """The result rule: the type of an argument."""
    return lambda arguments: arguments[position].type


def widest(arguments: Sequence[plan.Scalar]) -> KqlType:
    """The result rule: the widest numeric type among the arguments, at least long."""
    types = {argument.type for argument in arguments}
    for kind in (KqlType.DECIMAL, KqlType.REAL):
        if kind in types:
            return kind
    return KqlType.LONG
