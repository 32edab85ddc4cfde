"""The syntax tree: what was written, before any name is resolved. `at` is an offset into the query text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .errors import Problem
    from .literals import Value
    from .scope import Rows
    from .types import Column, KqlType


@dataclass(frozen=True, slots=True)
class Node:
    """Anything with a place in the query."""

    at: int


class Expression(Node):
    """A scalar expression."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Name(Expression):
    """A name, bare or bracketed."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """A literal value."""

    type: KqlType
    value: Value


@dataclass(frozen=True, slots=True)
class Star(Expression):
    """`*` as an argument."""


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A function call."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Named(Expression):
    """`name = value`, or `(a, b) = value`."""

    names: tuple[str, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    """`-x` or `+x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """An infix operator of two operands; `at` is the operator's place."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logic(Expression):
    """`and` or `or` over two or more operands."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Membership(Expression):
    """`x in (...)`, `x has_any (...)` and the like; the list may be one tabular pipeline."""

    operator: str
    subject: Expression
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Between(Expression):
    """`x between (low .. high)`."""

    negated: bool
    subject: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class Member(Expression):
    """`target.name`, or `target.name(...)` as in `cluster('c').database('d')`."""

    target: Expression
    name: str
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Index(Expression):
    """`target[index]`."""

    target: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Parenthesis(Expression):
    """`(x)`: kept because a parenthesised name is still a name when columns are named."""

    inner: Expression


@dataclass(frozen=True, slots=True)
class Subquery(Expression):
    """A pipeline in a place where an expression may stand."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Given(Expression):
    """Rows that an operator gives its subquery: `use` makes them, with columns of their own for each use."""

    use: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Pattern(Node):
    """A column name with wildcards, as project-away and its kin accept; `order` is asc or desc in project-reorder."""

    text: str
    order: str | None = None


@dataclass(frozen=True, slots=True)
class Ordered(Node):
    """An ordering expression; `descending` and `nulls_first` are resolved to their defaults."""

    value: Expression
    descending: bool
    nulls_first: bool


class Operator(Node):
    """A tabular operator; each kind of operator has its own subclass beside its parser and binder."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pipeline(Node):
    """A source and the operators that its rows pass: the source is an expression or an operator such as `print`."""

    source: Expression | Operator
    operators: tuple[Operator, ...]


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A function's parameter: a scalar of a type, with a default or none, or a table with the columns it must have."""

    name: str
    type: KqlType | None = None
    columns: tuple[Column, ...] = ()
    default: Expression | None = None


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """`(parameters) { lets; body }`; a `view` counts as a table among wildcards."""

    parameters: tuple[Parameter, ...]
    lets: tuple[Let, ...]
    body: Expression | Pipeline
    view: bool = False


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value`."""

    name: str
    value: Expression | Pipeline | Lambda


@dataclass(frozen=True, slots=True)
class PatternClause(Node):
    """`("value", ...).["path"] = { body }`: the body, a function of the pattern's parameters, for these values."""

    values: tuple[str, ...]
    path: str | None
    body: Lambda


@dataclass(frozen=True, slots=True)
class PatternDeclaration(Node):
    """`declare pattern name = (parameters)[path] { clauses }`; one without clauses maps nothing."""

    name: str
    parameters: tuple[Parameter, ...]
    path: Parameter | None
    clauses: tuple[PatternClause, ...]


@dataclass(frozen=True, slots=True)
class Alias(Node):
    """`alias database name = cluster(...).database(...)`."""

    name: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Entity(Node):
    """What a restriction leaves visible: a name with or without wildcards, of a database where `calls` name one."""

    calls: tuple[Call, ...]
    pattern: str


@dataclass(frozen=True, slots=True)
class Restriction(Node):
    """`restrict access to (entities)`."""

    entities: tuple[Entity, ...]


Statement = Let | Pipeline | PatternDeclaration | Alias | Restriction


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query text: its statements in order, and what applies to all of it."""

    text: str
    statements: Sequence[Statement]
    problems: Sequence[Problem] = ()
    #: Names of let statements that do not parse.
    broken: frozenset[str] = frozenset()
    #: Parameters that the query declares; a caller may give their values.
    parameters: Sequence[Parameter] = ()
    #: What `set` statements say, by option; a flag has no value.
    options: Mapping[str, Expression | None] = field(default_factory=dict)
