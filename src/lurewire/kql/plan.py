"""The bound plan: what a query means, free of any engine.

Columns are known by number, so that renaming costs nothing and names that differ only in case cannot meet. A dialect
lowers each kind of node; constructs that engines do differently (terms, bins, ticks, sets, distinct counts) are nodes of
their own. Datetimes and timespans are ticks of 100 ns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .functions.registry import Aggregate, Function
    from .literals import Value
    from .types import Table


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar expression of a known type."""

    type: KqlType


@dataclass(frozen=True, slots=True)
class Constant(Scalar):
    """A literal; datetime and timespan as ticks, dynamic as JSON text."""

    value: Value


@dataclass(frozen=True, slots=True)
class ColumnRef(Scalar):
    """A column of the input, by number."""

    id: int


@dataclass(frozen=True, slots=True)
class Parameter(Scalar):
    """A value that the caller passes when the query runs, such as `now`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call(Scalar):
    """A function whose registry row says how each dialect prints it."""

    function: Function
    arguments: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Convert(Scalar):
    """A conversion to `type`; null (for string: empty) where the value does not convert."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Arithmetic(Scalar):
    """`+ - * / %` over operands that already have the types of the operation."""

    operator: str
    left: Scalar
    right: Scalar


@dataclass(frozen=True, slots=True)
class Negate(Scalar):
    """`-x`."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Compare(Scalar):
    """`== != < <= > >=`; equality with one null side is false, with two it is null."""

    operator: str
    left: Scalar
    right: Scalar


@dataclass(frozen=True, slots=True)
class Logic(Scalar):
    """`and` or `or`."""

    operator: str
    operands: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Not(Scalar):
    """`not(x)`."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class TextMatch(Scalar):
    """A string operator: `kind` is equals, has, hasprefix, hassuffix, contains, startswith or endswith.

    The needles are alternatives (`every` false) or must all match (`every` true).
    """

    kind: str
    case_sensitive: bool
    subject: Scalar
    needles: tuple[Scalar, ...]
    every: bool = False


@dataclass(frozen=True, slots=True)
class TermsInArray(Scalar):
    """`has_any` and `has_all` over a dynamic array that is not a literal."""

    every: bool
    subject: Scalar
    array: Scalar


@dataclass(frozen=True, slots=True)
class RegexMatch(Scalar):
    """`matches regex`."""

    subject: Scalar
    pattern: Scalar


@dataclass(frozen=True, slots=True)
class In(Scalar):
    """`in` over a list of the subject's type; strings may be compared without case."""

    case_sensitive: bool
    subject: Scalar
    items: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class InArray(Scalar):
    """`in` over a dynamic array that is not a literal; compared as text."""

    case_sensitive: bool
    subject: Scalar
    array: Scalar


@dataclass(frozen=True, slots=True)
class Bin(Scalar):
    """The multiple of `size` at or below `value`, counted from zero (for datetimes: from year 1)."""

    value: Scalar
    size: Scalar


@dataclass(frozen=True, slots=True)
class Path(Scalar):
    """Access into a dynamic value: each step is a key (str), an array index (int) or an expression for either."""

    target: Scalar
    steps: tuple[str | int | Scalar, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Scalar):
    """Conditions with their values, and the value when none holds."""

    branches: tuple[tuple[Scalar, Scalar], ...]
    otherwise: Scalar


@dataclass(frozen=True, slots=True)
class ScalarQuery(Scalar):
    """The value of a column in the first row of a relation; null where there is none."""

    relation: Relation
    id: int


@dataclass(frozen=True, slots=True)
class InQuery(Scalar):
    """`in` over the values of a relation's column, which have the subject's type."""

    case_sensitive: bool
    subject: Scalar
    relation: Relation
    id: int


# Relations


@dataclass(frozen=True, slots=True)
class Relation:
    """A source or operator of rows."""


@dataclass(frozen=True, slots=True)
class Scan(Relation):
    """A stored table: the number of each of its columns, in the table's order."""

    table: Table
    ids: tuple[int, ...]
    #: Further columns by their SQL names: hidden ones that the query names.
    hidden: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Values(Relation):
    """Literal rows (datatable); print is one row without columns."""

    ids: tuple[int, ...]
    types: tuple[KqlType, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Range(Relation):
    """One column of values from `start` to `stop` (included) by `step`; none where the step leads away."""

    id: int
    type: KqlType
    start: Scalar
    stop: Scalar
    step: Scalar


@dataclass(frozen=True, slots=True)
class Filter(Relation):
    """Rows for which the predicate is true."""

    input: Relation
    predicate: Scalar


@dataclass(frozen=True, slots=True)
class Compute(Relation):
    """New columns beside the input's (extend; project and its kin only choose among columns)."""

    input: Relation
    columns: tuple[tuple[int, Scalar], ...]


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate: its row, arguments, the predicate of an -if form and constants such as a maximum size.

    `outputs` numbers its result columns: arg_max and take_any may have several.
    """

    aggregate: Aggregate
    arguments: tuple[Scalar, ...]
    predicate: Scalar | None
    limit: int | None
    outputs: tuple[int, ...]
    types: tuple[KqlType, ...]


@dataclass(frozen=True, slots=True)
class Summarize(Relation):
    """Groups and their aggregates; without aggregates, the distinct keys."""

    input: Relation
    keys: tuple[tuple[int, Scalar], ...]
    aggregates: tuple[AggregateCall, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One ordering expression."""

    value: Scalar
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Sort(Relation):
    """Rows in order."""

    input: Relation
    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True)
class Limit(Relation):
    """At most `count` rows."""

    input: Relation
    count: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the relations that a union reads, and what it gives by the numbers of the union's columns; null elsewhere."""

    relation: Relation
    columns: Mapping[int, Scalar]


@dataclass(frozen=True, slots=True)
class Union(Relation):
    """The rows of all legs, under the union's own column numbers."""

    ids: tuple[int, ...]
    types: tuple[KqlType, ...]
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Number(Relation):
    """Rows fixed in their order: `id` counts them from 1, and they stay ordered by it."""

    input: Relation
    id: int


@dataclass(frozen=True, slots=True)
class WindowCall:
    """A value over the rows in order: `kind` is number, previous, next, sum, maximum, session or total.

    `value` is what is looked up or added up; `group` restarts the count where it changes. previous and next look `offset`
    rows away and give `default` where there is none. session gives the first value of the session, which ends where a
    value is `span` or more above it. total is the sum over all rows of the group.
    """

    kind: str
    type: KqlType
    value: Scalar | None = None
    group: Scalar | None = None
    offset: int = 1
    default: Scalar | None = None
    span: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Window(Relation):
    """New columns over the rows in the order of the column `ordinal`."""

    input: Relation
    ordinal: int
    columns: tuple[tuple[int, WindowCall], ...]


@dataclass(frozen=True, slots=True)
class SeriesValue:
    """One array of a series: the column `value` of the slots, and what stands where there is no slot."""

    id: int
    value: ColumnRef
    default: Scalar


@dataclass(frozen=True, slots=True)
class Series(Relation):
    """Groups of slots as arrays: slot n stands for `origin + n * step`.

    A series runs from slot 0 (`fixed`) or from its first slot, and ends before `end` or after its last slot. With
    `nonempty`, no slots at all give one series of defaults.
    """

    input: Relation
    keys: tuple[int, ...]
    slot: int
    values: tuple[SeriesValue, ...]
    axis: int
    origin: Scalar
    step: Scalar
    fixed: bool
    end: Scalar | None
    nonempty: bool


@dataclass(frozen=True, slots=True)
class Shared(Relation):
    """Rows that are computed once however often they are used; `ids` are this use's numbers for `columns`."""

    relation: Relation
    columns: tuple[int, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Join(Relation):
    """Rows of two relations with equal keys, each pair of one type.

    `kind` is inner, innerunique (one row of the left side for each key), leftouter, rightouter, fullouter, leftsemi,
    rightsemi, leftanti or rightanti; the last four give the rows of one side only. A null key matches nothing, or with
    `nulls_match` another one.
    """

    kind: str
    left: Relation
    right: Relation
    keys: tuple[tuple[Scalar, Scalar], ...]
    left_columns: tuple[tuple[int, KqlType], ...]
    right_columns: tuple[tuple[int, KqlType], ...]
    nulls_match: bool = False


@dataclass(frozen=True, slots=True)
class Expansion:
    """A dynamic value taken apart: `id` numbers the elements' column, null for an element that is null."""

    value: Scalar
    id: int


@dataclass(frozen=True, slots=True)
class Expand(Relation):
    """A row for each element: side by side to the longest, one for null, none for an empty array or bag.

    Slots of bags become bags of one slot, or arrays of key and value with `pairs`. `index` counts from 0 in each row;
    `limit` is the most rows from one.
    """

    input: Relation
    columns: tuple[Expansion, ...]
    pairs: bool
    index: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Elements(Relation):
    """Inside an Apply: the elements of the outer row's values, as Expand makes them; the outer columns can be read too."""

    columns: tuple[Expansion, ...]
    index: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Apply(Relation):
    """For each row with elements, the rows of `inner` over them; `ids` are the columns of inner that come out."""

    input: Relation
    inner: Relation
    elements: Elements
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ParseText(Relation):
    """The groups of a regular expression (RE2) over a text, each a string column, empty where it does not match.

    `matched` numbers a bool column that says whether it does.
    """

    input: Relation
    subject: Scalar
    pattern: str
    groups: tuple[int, ...]
    matched: int


@dataclass(frozen=True, slots=True)
class Subtable(Relation):
    """Inside a Partition: the rows of `source` whose column `key` is the partition's `value`."""

    source: Shared
    key: int
    value: int


@dataclass(frozen=True, slots=True)
class Partition(Relation):
    """For each value of a column, the rows of `inner`: `ids` are its columns that come out.

    `keys` is a use of the rows that are parted, in which `value` numbers the column; `inner` can read it too. More values
    than `most` are an error.
    """

    keys: Shared
    value: int
    inner: Relation
    ids: tuple[int, ...]
    most: int | None


@dataclass(frozen=True, slots=True)
class StateColumn:
    """What a step's expressions read of the state as the column `id`: the value of a step's last match.

    `step` counts from 0; `source` is a column of the input, or with `declared` the position of a declared column.
    """

    id: int
    type: KqlType
    step: int
    source: int
    declared: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a scan: `output` is all, last or none; `assignments` are positions of declared columns and values."""

    output: str
    condition: Scalar
    assignments: tuple[tuple[int, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Steps(Relation):
    """The rows, in the order of the column `ordinal`, that match steps of sequences (the scan operator).

    `columns` are the input's columns that come out under the same numbers; `declared` are the columns that steps assign,
    each with what it is where no step did. `state` are the columns through which conditions and assignments read the state.
    `match` numbers the sequence of a row. Groups of rows with equal `keys` are scanned apart.
    """

    input: Relation
    ordinal: int
    keys: tuple[int, ...]
    columns: tuple[tuple[int, KqlType], ...]
    declared: tuple[tuple[int, Constant], ...]
    match: int
    state: tuple[StateColumn, ...]
    steps: tuple[Step, ...]


#: Relations without an input, or with several.
SOURCES = (Scan, Values, Range, Union, Shared, Join, Elements, Subtable, Partition)


#: What a relation is made of beside scalars.
RELATION_PARTS = (Relation, AggregateCall, SortKey, Expansion, Leg, WindowCall, Step)


@dataclass(frozen=True, slots=True)
class Output:
    """A result column: its name, number and type."""

    name: str
    id: int
    type: KqlType


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A whole query: its relation and its result columns in order."""

    relation: Relation
    columns: tuple[Output, ...]


def may_be_null(value: Scalar) -> bool:
    """Whether a value can be null; strings never are."""
    if value.type is KqlType.STRING:
        return False
    if isinstance(value, Constant):
        return value.value is None
    if isinstance(value, TextMatch | RegexMatch | In | TermsInArray | InArray | InQuery):
        return False
    if isinstance(value, Parameter):
        return False
    if isinstance(value, Compare | Logic | Not):
        return any(may_be_null(operand) for operand in operands(value))
    if isinstance(value, Call):
        if value.function.never_null:
            return False
        return value.function.makes_null or any(may_be_null(argument) for argument in value.arguments)
    if isinstance(value, Arithmetic):
        return value.operator in "/%" or may_be_null(value.left) or may_be_null(value.right)
    if isinstance(value, Conditional):
        return may_be_null(value.otherwise) or any(may_be_null(branch) for _, branch in value.branches)
    return True


#: The scalar expressions directly below each kind of node; kinds without any are left out.
_OPERANDS: dict[type, Callable[[Any], tuple[Scalar, ...]]] = {
    Call: lambda node: node.arguments,
    Convert: lambda node: (node.value,),
    Negate: lambda node: (node.value,),
    Not: lambda node: (node.value,),
    Arithmetic: lambda node: (node.left, node.right),
    Compare: lambda node: (node.left, node.right),
    Logic: lambda node: node.operands,
    TextMatch: lambda node: (node.subject, *node.needles),
    TermsInArray: lambda node: (node.subject, node.array),
    InArray: lambda node: (node.subject, node.array),
    RegexMatch: lambda node: (node.subject, node.pattern),
    In: lambda node: (node.subject, *node.items),
    Bin: lambda node: (node.value, node.size),
    InQuery: lambda node: (node.subject,),
    Path: lambda node: (node.target, *(step for step in node.steps if isinstance(step, Scalar))),
    Conditional: lambda node: (*(part for branch in node.branches for part in branch), node.otherwise),
}


def operands(value: Scalar) -> tuple[Scalar, ...]:
    """The scalar expressions directly below one."""
    below = _OPERANDS.get(type(value))
    return () if below is None else below(value)


def inputs(relation: Relation) -> tuple[Relation, ...]:
    """The relations directly below one."""
    if isinstance(relation, Union):
        return tuple(leg.relation for leg in relation.legs)
    if isinstance(relation, Join):
        return relation.left, relation.right
    if isinstance(relation, Shared):
        return (relation.relation,)
    if isinstance(relation, Partition):
        return relation.keys, relation.inner
    if isinstance(relation, Subtable):
        return (relation.source,)
    below = getattr(relation, "input", None)
    return () if below is None else (below,)


def read_often(value: Scalar) -> Iterator[Path | Call]:
    """What the SQL of a value may read several times: paths whose texts it converts, and what is random in it."""
    pending = [value]
    while pending:
        node = pending.pop()
        if type(node) is ColumnRef:
            continue
        if isinstance(node, Convert) and isinstance(node.value, Path) and node.type not in _AS_IT_IS:
            yield node.value
        elif type(node) is Call and not node.function.deterministic and node is not value:
            yield node
        else:
            pending.extend(operands(node))


_AS_IT_IS = (KqlType.STRING, KqlType.DYNAMIC)


def column_ids(value: Scalar, found: set[int]) -> None:
    """Adds the numbers of all columns that a value reads to `found`."""
    if type(value) is ColumnRef:
        found.add(value.id)
        return
    pending = [value]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if type(node) is ColumnRef:
            found.add(node.id)
        elif type(node) is not Constant and id(node) not in seen:
            seen.add(id(node))
            pending.extend(operands(node))
