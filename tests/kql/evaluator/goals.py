"""What a rule asks of its tables' rows: its predicates turned round into values of columns.

`where tolower(parse_json(Data).user.name) == "x"` becomes Data = '{"user": {"name": "x"}}'. What cannot be turned round is
left to chance: the rows need not match, they only should often.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.types import Column
from lurewire.kql.types import KqlType as K

from .expressions import Binder
from .model import Relation, Scope
from .pipeline import run_let
from .samples import from_pattern, text_like
from .values import DAY, Refused, Stopped, to_text

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

#: A column's definition and the definitions that it stands on.
Definitions = dict[str, tuple[Any, "Definitions"]]


@dataclass(frozen=True, slots=True)
class Element:
    """What mv-expand makes of a value: one of its elements."""

    value: Any


@dataclass(frozen=True, slots=True)
class Leg:
    """One reading of a table: two readings may ask for rows that exclude each other."""

    table: str
    number: int


@dataclass(frozen=True, slots=True)
class Goal:
    """A predicate, or a parse operator, over the rows of some readings of tables."""

    legs: frozenset[Leg]
    predicate: Any
    columns: Definitions


def walk(node: Any) -> Iterator[Any]:
    """A tree's nodes."""
    if isinstance(node, tuple | list):
        for part in node:
            yield from walk(part)
    elif is_dataclass(node) and not isinstance(node, type):
        yield node
        for part in fields(node):
            yield from walk(getattr(node, part.name))


class Reader:
    """Reads the goals of a query."""

    def __init__(self, query: tree.Query, tables: frozenset[str], now: int) -> None:
        self.goals: list[Goal] = []
        self.legs: list[Leg] = []
        #: Columns that a join compares, by pairs.
        self.pairs: list[tuple[str, str]] = []
        self._tables = tables
        self._lets: dict[str, Any] = {}
        self.scope = Scope({}, now)
        for statement in query.statements:
            if isinstance(statement, tree.Let):
                self._lets[statement.name] = statement.value
                if not isinstance(statement.value, tree.Pipeline):
                    with contextlib.suppress(Refused, Stopped, ValueError, IndexError, TypeError):
                        run_let(statement, self.scope)
                if isinstance(statement.value, tree.Lambda):
                    self._source(statement.value.body, {})
                else:
                    self._source(statement.value, {})
            elif isinstance(statement, tree.Pipeline):
                self._source(statement, {})

    def constant(self, node: Any) -> tuple[K, Any] | None:
        """A constant's type and value; None for anything else."""
        try:
            bound = Binder(self.scope, Relation([], [], [])).bind(node)
            found = (bound.kind, bound.value) if bound.constant else None
        except (Refused, Stopped, ValueError, IndexError, TypeError, KeyError):
            return None
        return found

    def _source(self, node: Any, columns: Definitions) -> tuple[frozenset[Leg], Definitions]:
        match node:
            case tree.Pipeline():
                reached, columns = self._source(node.source, columns)
                for operator in node.operators:
                    reached, columns = self._operator(operator, reached, columns)
                return reached, columns
            case tree.Parenthesis(inner=inner):
                return self._source(inner, columns)
            case tree.Subquery(pipeline=pipeline):
                return self._source(pipeline, columns)
            case tree.Name(name=name) if name in self._tables:
                self.legs.append(Leg(name, len(self.legs)))
                return frozenset(self.legs[-1:]), {}
            case tree.Name(name=name) if name in self._lets:
                value = self._lets.pop(name)
                found = self._source(value.body if isinstance(value, tree.Lambda) else value, {})
                self._lets[name] = value
                return found
            case tree.Call(name=name, arguments=arguments):
                if name in self._lets:
                    return self._source(tree.Name(node.at, name), columns)
                return (
                    self._source(arguments[0], columns)
                    if arguments and name in ("materialize", "toscalar")
                    else (frozenset(), {})
                )
            case tree.Operator() if type(node).__name__ == "UnionSource":
                return self._operator(node, frozenset(), columns)
            case _:
                return frozenset(), {}

    def _operator(self, node: Any, reached: frozenset[Leg], columns: Definitions) -> tuple[frozenset[Leg], Definitions]:  # noqa: C901, PLR0912 - one branch for each form that there is
        name = type(node).__name__
        if name == "Where":
            self.goals.append(Goal(reached, node.predicate, columns))
            for part in walk(node.predicate):
                if isinstance(part, tree.Membership) and len(part.items) == 1:
                    self._source(part.items[0], {})
        elif name in ("Parse", "ParseWhere"):
            self.goals.append(Goal(reached, node, columns))
        elif name in ("Extend", "Project", "ProjectRename", "Summarize"):
            made = dict(columns)
            for item in [*getattr(node, "columns", ()), *getattr(node, "keys", ())]:
                if isinstance(item, tree.Named):
                    made[item.names[0]] = (item.value, columns)
            columns = made
        elif name in ("Expand", "Apply"):
            made = dict(columns)
            for item in node.items:
                given = item.value
                label = given.names[0] if isinstance(given, tree.Named) else getattr(given, "name", None)
                value = given.value if isinstance(given, tree.Named) else given
                if label is not None:
                    made[label] = (Element(value), columns)
            columns = made
            if name == "Apply":
                for operator in node.operators:
                    reached, columns = self._operator(operator, reached, columns)
        elif name in ("Join", "Lookup"):
            right, held = self._source(node.right, {})
            columns = {**held, **columns}
            reached |= right
            for condition in node.conditions:
                names = [
                    part.name
                    for part in walk(condition)
                    if isinstance(part, tree.Name | tree.Member) and part.name[0] != "$"
                ]
                self.pairs.append((names[0], names[-1]))
        elif name in ("Union", "UnionSource"):
            for table in node.tables:
                if not isinstance(table, tree.Pattern):
                    reached |= self._source(table, {})[0]
        return reached, columns


class Solver:
    """Chooses values of base columns that make a predicate true."""

    def __init__(self, reader: Reader, chance: random.Random) -> None:
        self.reader = reader
        self.chance = chance
        self.found: dict[str, Any] = {}
        #: Predicates that only say what must not be: they yield to the others.
        self._negative: list[tuple[Any, Definitions]] = []
        self._yielding = False

    def finish(self) -> dict[str, Any]:
        """The values found, after those that yield."""
        self._yielding = True
        for subject, columns in self._negative:
            self.want(subject, "other value", columns)
        return self.found

    def satisfy(self, node: Any, columns: Definitions) -> None:  # noqa: C901, PLR0912 - one branch for each form that there is
        """Makes a predicate true, as far as it can be turned round."""
        match node:
            case tree.Parenthesis(inner=inner):
                self.satisfy(inner, columns)
            case tree.Logic(operator="and", operands=operands):
                for operand in operands:
                    self.satisfy(operand, columns)
            case tree.Logic(operands=operands):
                self.satisfy(self.chance.choice(operands), columns)
            case tree.Binary(operator=operator, left=left, right=right):
                self._compare(operator, left, right, columns)
            case tree.Membership(operator=operator, subject=subject, items=items):
                self._among(operator, subject, items, columns)
            case tree.Between(subject=subject, low=low, negated=False):
                value = self.reader.constant(low)
                if value is not None and value[1] is not None:
                    self.want(subject, value[1], columns)
            case tree.Call(name="isnotempty" | "isnotnull" | "notempty", arguments=(value,)):
                self.want(value, self.chance.choice(["some value", "10.0.0.7", 3]), columns)
            case tree.Call(name="isempty" | "isnull", arguments=(value,)):
                self.want(value, None, columns)
            case tree.Call(name="ipv4_is_private", arguments=(value,)):
                self.want(value, "10.20.30.40", columns)
            case tree.Call(name="ipv4_is_in_range", arguments=(value, network)):
                known = self.reader.constant(network)
                if known is not None and isinstance(known[1], str):
                    self.want(value, known[1].partition("/")[0], columns)
            case tree.Name(name=name) if name in columns:
                definition, held = columns[name]
                self.satisfy(definition, held)
            case tree.Operator() if type(node).__name__ in ("Parse", "ParseWhere"):
                parsed: Any = node
                self.want(parsed.subject, "".join(map(_piece, parsed.pieces)), columns)
            case _:
                pass

    def _compare(self, operator: str, left: Any, right: Any, columns: Definitions) -> None:
        known = self.reader.constant(right)
        if known is None:
            known, left = self.reader.constant(left), right
            operator = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(operator, operator)
        if known is None:
            return
        kind, value = known
        if operator in ("==", "<=", ">=", "=~"):
            if operator == "=~" and isinstance(value, str):
                value = self.chance.choice([value, value.upper(), value.lower(), value.swapcase()])
            self.want(left, value, columns)
        elif operator in ("<", ">") and isinstance(value, int | float) and not isinstance(value, bool):
            unit = self.chance.choice([1, 10, DAY // 48]) if kind in (K.DATETIME, K.TIMESPAN) else 1
            self.want(left, value + (unit if operator == ">" else -unit), columns)
        elif operator == "!=" or operator.startswith("!"):
            self._negative.append((left, columns))
        elif isinstance(value, str):
            made = text_like(operator, value, self.chance)
            if made is not None:
                self.want(left, made, columns)

    def _among(self, operator: str, subject: Any, items: Any, columns: Definitions) -> None:
        if operator.startswith("!"):
            self._negative.append((subject, columns))
            return
        values: list[Any] = []
        for item in items:
            known = self.reader.constant(item)
            if known is not None:
                values.extend(known[1] if isinstance(known[1], list) else [known[1]])
        if not values:
            return
        if operator == "has_all":
            self.want(subject, " ".join(to_text(value, K.DYNAMIC) for value in values), columns)
            return
        value = self.chance.choice(values)
        if isinstance(value, str) and operator != "in":
            value = self.chance.choice([value, value.upper()])
            value = f"x {value}" if operator == "has_any" and self.chance.random() < 0.5 else value
        self.want(subject, value, columns)

    def want(self, node: Any, value: Any, columns: Definitions) -> None:  # noqa: C901, PLR0912 - one branch for each form that there is
        """Makes an expression have a value."""
        match node:
            case Element(value=inner):
                self.want(inner, [value], columns)
            case tree.Parenthesis(inner=inner):
                self.want(inner, value, columns)
            case tree.Name(name=name):
                if name in columns and columns[name][1] is not columns:
                    definition, inner = columns[name]
                    self.want(definition, value, inner)
                elif name not in columns:
                    old = self.found.get(name)
                    if name not in self.found or not self._yielding:
                        self.found[name] = merged(old, value)
                    elif isinstance(old, dict) and isinstance(value, dict):
                        self.found[name] = merged(value, old)
            case tree.Member(target=target, name=name, call=None):
                self.want(target, {name: value}, columns)
            case tree.Index(target=tree.Call(name="split", arguments=(text, delimiter)), index=index):
                known, place = self.reader.constant(delimiter), self.reader.constant(index)
                if known is not None and place is not None and isinstance(place[1], int):
                    parts = ["a", "b", "c"]
                    parts[max(min(place[1], 2), -3)] = to_text(value, K.DYNAMIC)
                    self.want(text, known[1].join(parts), columns)
            case tree.Index(target=target, index=index):
                known = self.reader.constant(index)
                if known is not None and isinstance(known[1], str):
                    self.want(target, {known[1]: value}, columns)
                elif known is not None and isinstance(known[1], int):
                    self.want(target, [value] if known[1] < 0 else [None] * min(known[1], 9) + [value], columns)
            case tree.Call(name="extractjson" | "extract_json", arguments=(tree.Literal(value=str(path)), text)):
                for step in reversed(re.findall(r"\w+", path)):
                    value = [value] if step.isdigit() else {step: value}
                self.want(text, value, columns)
            case tree.Call(name="extract", arguments=(_, _, text, *_)):
                self.want(text, value, columns)
            case tree.Call(name="extract_all" | "extractall", arguments=(expression, *_, text)):
                known = self.reader.constant(expression)
                if known is not None and isinstance(known[1], str):
                    self.want(text, from_pattern(known[1], self.chance), columns)
            case tree.Call(name="trim" | "trim_start" | "trim_end", arguments=(_, text)):
                self.want(text, value, columns)
            case tree.Call(name="iff" | "iif", arguments=(test, yes, _)):
                if self.reader.constant(yes) is not None:
                    self.satisfy(test, columns)
                else:
                    self.want(yes, value, columns)
            case tree.Call(name="array_length", arguments=(inner,)) if isinstance(value, int) and 0 <= value < 20:
                self.want(inner, ["x"] * value, columns)
            case tree.Call(name="strlen", arguments=(inner,)) if isinstance(value, int) and 0 <= value < 10_000:
                self.want(inner, "y" * value, columns)
            case tree.Call(name="column_ifexists" | "columnifexists", arguments=(tree.Literal(value=str(name)), _)):
                self.want(tree.Name(node.at, name), value, columns)
            case tree.Call(name="toupper", arguments=(inner,)):
                self.want(inner, value.lower() if isinstance(value, str) else value, columns)
            case tree.Call(name="tolower", arguments=(inner,)):
                self.want(
                    inner, value.upper() if isinstance(value, str) and self.chance.random() < 0.5 else value, columns
                )
            case tree.Call(name=name, arguments=(inner, *_)) if name in _THROUGH:
                self.want(inner, value, columns)
            case _:
                pass


_SAMPLE = {
    **dict.fromkeys(K, "some"),
    K.INT: "22",
    K.LONG: "3",
    K.REAL: "1.5",
    K.DATETIME: "2026-01-01",
    K.STRING: "some",
}
_THROUGH = frozenset(
    [
        "tostring",
        "toint",
        "tolong",
        "toreal",
        "todouble",
        "tobool",
        "todatetime",
        "totimespan",
        "toguid",
        "parse_json",
        "todynamic",
        "parsejson",
        "coalesce",
        "bin",
        "startofday",
        "floor",
        "url_decode",
        "strcat",
        "parse_url",
        "parse_path",
        "replace_string",
    ]
)


def _piece(piece: Any) -> str:
    """What a piece of a parse pattern may match."""
    return piece if isinstance(piece, str) else _SAMPLE[piece.type] if isinstance(piece, Column) else "some"


def merged(old: Any, new: Any) -> Any:
    """Two wishes for one column together."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: merged(old.get(key), new.get(key, old.get(key))) for key in {**old, **new}}
    if isinstance(old, list) and isinstance(new, list):
        return [
            merged(old[at] if at < len(old) else None, new[at] if at < len(new) else None)
            for at in range(max(len(old), len(new)))
        ]
    if isinstance(old, str) and isinstance(new, str) and old != new:
        return old if new in old else new if old in new else f"{old} {new}"
    for text, other in ((old, new), (new, old)):
        if isinstance(text, str) and isinstance(other, list):
            return [*other, text]
        if isinstance(text, str) and isinstance(other, dict):
            return {**other, "note": text}
    return old if new is None else new


def used_names(query: tree.Query) -> frozenset[str]:
    """All names that could be columns of a table, also those that stand in texts."""
    found: set[str] = set()
    for node in walk(list(query.statements)):
        if isinstance(node, tree.Name | tree.Member):
            found.add(node.name)
        elif isinstance(node, tree.Literal) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, tree.Pattern):
            found.add(node.text)
        elif isinstance(node, Column):
            found.add(node.name)
    return frozenset(found)


def schemas_of(query: tree.Query, known: Mapping[str, tuple[Column, ...]]) -> dict[str, tuple[Column, ...]]:
    """The tables that a query may read, with the columns that it may name."""
    names = used_names(query)
    return {
        name: tuple(column for column in columns if column.name in names or column.name == "TimeGenerated")
        for name, columns in known.items()
        if name in names
    }
