"""Random query texts for the fuzz: by the registries of operators and functions, and by mutation of real queries.

Nothing here cares whether a query makes sense: what is drawn is to be compiled, or refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lurewire.kql.functions import AGGREGATES, FUNCTIONS
from lurewire.kql.known_names import AGGREGATES as KNOWN_AGGREGATES
from lurewire.kql.known_names import FUNCTIONS as KNOWN_FUNCTIONS
from lurewire.kql.operators import OPERATORS, SOURCES
from lurewire.kql.types import KqlType as K

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from lurewire.kql.functions.registry import Param

_LEAVES = {
    K.BOOL: ["b", "true", "false", "bool(null)", "x > 1", "X has 'a'", "isempty(d)"],
    K.INT: ["int(5)", "int(null)", "toint(x)", "int(-2147483648)"],
    K.LONG: ["x", "1", "0", "-1", "7", "0x1F", "long(null)", "9223372036854775807", "strlen(X)"],
    K.REAL: ["r", "1.5", "-0.25", "real(nan)", "real(+inf)", "1e300", "real(null)", ".5"],
    K.DECIMAL: ["decimal(1.5)", "decimal(null)", "decimal(0.00000000000000001)"],
    K.STRING: ["X", "''", "'a b'", '"(a)(b)?"', "@'\\d+'", "'10.0.0.1/24'", '"[1,2]"', "'{\"a\":1}'", "'yyyy-MM-dd'", "'day'", "```m\nn```", "'é'", "h'secret'"],
    K.DATETIME: ["TimeGenerated", "datetime(2026-01-02)", "now()", "ago(1d)", "datetime(null)", "datetime(9999-12-31)", "datetime(0001-01-01)"],
    K.TIMESPAN: ["1h", "-7d", "time(null)", "1tick", "time(1.02:03:04.5)", "10675199d"],
    K.GUID: ["guid(74be27de-1e4e-49d9-b579-fe0b331d3642)", "guid(null)"],
    K.DYNAMIC: ["d", "d.a", "d[0]", "d['a b'].c", "dynamic([1,'x',null])", "dynamic({'a':[1]})", "dynamic(null)", "pack_array(x, X)", "dynamic('t')"],
}  # fmt: skip
_INFIX = [
    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "=~", "!~", "and", "or", "has", "!has", "has_cs", "contains",
    "!contains_cs", "startswith", "endswith", "hasprefix", "hassuffix", "matches regex",
]  # fmt: skip
_KINDS = list(K)
#: What follows an operator's name; {e} is an expression, {b} a bool one, {a} an aggregate, {c} a name, {n} a number, {p} a pipeline.
_SHAPES = {
    "where": ["{b}", "{b} and {b}", "* has 'a'"],
    "filter": ["{b}"],
    "extend": ["{c} = {e}", "{e}, {c} = {e}", "(p, q) = {e}"],
    "project": ["{c} = {e}, {c}", "{c}", "{e}"],
    "project-away": ["{c}", "X*", "*"],
    "project-keep": ["{c}, x*"],
    "project-rename": ["z = {c}"],
    "project-reorder": ["{c}, * asc", "X*, {c} granny-desc"],
    "summarize": ["{a}", "{a}, v = {a} by {c}", "by {c}, bin(TimeGenerated, 1h)", "{a} by k = {e}", "v = {a} + {a}"],
    "distinct": ["*", "{c}", "{e}"],
    "sort": ["by {c}", "by {e} asc nulls last, {c} desc"],
    "order": ["by {c} asc"],
    "top": ["{n} by {e}", "{n} by {c} asc"],
    "take": ["{n}"],
    "limit": ["{n}"],
    "count": ["", "as n"],
    "join": ["kind=inner {p} on x", "({p}) on $left.x == $right.x", "kind=leftanti {p} on X", "kind=fullouter hint.strategy=broadcast {p} on x, X"],
    "lookup": ["{p} on x", "kind=inner {p} on X"],
    "union": ["{p}", "kind=inner withsource=src {p}, {p}", "isfuzzy=true {p}, Nowhere"],
    "mv-expand": ["d", "{c} to typeof(long)", "kind=array v = {e} limit {n}", "with_itemindex=i d, d2 = d"],
    "mvexpand": ["d"],
    "mv-apply": ["v = d on (where {b})", "d to typeof(string) on (summarize {a})", "with_itemindex=i {e} on (extend {c} = {e} | take {n})"],
    "parse": ["X with * 'a' y:long 'b' z", "kind=regex flags=i X with @'\\w' y @'\\d'", "kind=relaxed {e} with y:int ',' z:datetime"],
    "parse-where": ["X with y ' ' z"],
    "parse-kv": ["X as (a: long, b: string) with (pair_delimiter=',', kv_delimiter='=')"],
    "make-series": ["{a} default = 0 on TimeGenerated from ago(1d) to now() step 1h", "v = {a} on x step {n} by X", "{a} on TimeGenerated in range(ago(1d), now(), 1h)"],
    "serialize": ["", "n = row_number(), {e}"],
    "render": ["timechart", "piechart with (title='t')"],
    "evaluate": ["bag_unpack(d) : (*, a: long)", "pivot(X)", "narrow()", "{f}({c}, {e})"],
    "invoke": ["f()", "f({e})"],
    "as": ["r1", "hint.materialized=true r2"],
    "getschema": [""],
    "consume": [""],
    "sample": ["{n}"],
    "sample-distinct": ["{n} of {c}"],
    "top-hitters": ["{n} of {e} by {e}"],
    "top-nested": ["{n} of {c} by {a}, top-nested {n} of {e} by {a}"],
    "partition": ["by {c} (take {n})", "hint.strategy=native by X (summarize {a})"],
    "scan": ["with (step s: {b} => y = x;)", "declare (y: long = 0) with (step a: true => y = a.y + x;)"],
    "fork": ["(where {b}) (take {n})"],
    "facet": ["by {c}, X with (take {n})"],
    "reduce": ["by X with threshold=0.5"],
    "search": ["'a'", "in (T) {b}", "X:'a' and {b}"],
    "find": ["where {b}", "in (T) where {b} project x, X"],
    "range": ["v from {n} to 10 step 1", "v from {e} to {e} step {e}"],
    "print": ["{e}", "v = {e}, {e}"],
    "datatable": ["(a: long, s: string)[{n}, 'x', {n}, 'y']", "(d: dynamic)[{e}]"],
}  # fmt: skip


class Grammar:
    """Draws queries over the tables T and U."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._by_kind = {
            kind: [name for name, row in FUNCTIONS.items() if row.result is kind or not isinstance(row.result, K)]
            for kind in _KINDS
        }

    def query(self) -> str:
        """A query with some lets, a source and a few operators."""
        lets = ""
        for number in range(self.chance.choice([0, 0, 1, 2])):
            value = self.chance.choice(
                [self.expression(2), self.pipeline(1), f"(v: long = 1) {{ {self.expression(1)} }}"]
            )
            lets += f"let v{number} = {value};\n"
        return lets + self.pipeline(self.chance.choice([1, 2, 3, 5]))

    def pipeline(self, size: int) -> str:
        """A source and as many operators."""
        text = "T"
        if self.chance.random() < 0.15:
            name = self.chance.choice(sorted(SOURCES))
            text = f"{name} {self._shape(name, 1)}"
        for _ in range(size):
            name = self.chance.choice(sorted(OPERATORS))
            text += f" | {name} {self._shape(name, size - 1)}"
        return text

    def _shape(self, name: str, size: int) -> str:
        shape = self.chance.choice(_SHAPES.get(name, ["{e}", "{c}", "by {c}", "{n}", ""]))
        makers: dict[str, Callable[[], str]] = {
            "e": lambda: self.expression(2),
            "b": lambda: self.expression(2, K.BOOL),
            "a": self.aggregate,
            "c": lambda: self.chance.choice(["x", "X", "d", "r", "b", "TimeGenerated", "y", "v0", "['a b']"]),
            "n": lambda: self.chance.choice(["0", "1", "3", "10", "x", "-1", "1.5"]),
            "p": lambda: self.chance.choice(["U", f"({self.pipeline(max(size, 0) // 2)})"]),
            "f": lambda: self.chance.choice(sorted({*KNOWN_FUNCTIONS, "autocluster", "ipv4_lookup"})),
        }
        return re.sub(r"\{([ebacnpf])\}", lambda found: makers[found[1]](), shape)

    def expression(self, depth: int, kind: K | None = None) -> str:
        """An expression that is likely of a type."""
        kind = kind or self.chance.choice(_KINDS)
        roll = self.chance.random()
        if depth == 0 or roll < 0.25:
            return self.chance.choice(_LEAVES[kind])
        if roll < 0.45:
            operands = (self.expression(depth - 1, self._near(kind)), self.expression(depth - 1, self._near(kind)))
            return f"({operands[0]} {self.chance.choice(_INFIX)} {operands[1]})"
        if roll < 0.5:
            operator = self.chance.choice(["in", "!in~", "has_any", "has_all", "between"])
            low, high = self.expression(depth - 1), self.expression(depth - 1)
            return f"({self.expression(depth - 1)} {operator} ({low} {'..' if operator == 'between' else ','} {high}))"
        if roll < 0.53:
            return f"{self.chance.choice(sorted({*KNOWN_FUNCTIONS, *KNOWN_AGGREGATES}))}({self.expression(depth - 1)})"
        name = self.chance.choice(self._by_kind[kind] or sorted(FUNCTIONS))
        row = FUNCTIONS[name]
        return self._call(name, row.params, row.optional, depth, variadic=row.variadic)

    def aggregate(self) -> str:
        """A call of an aggregate."""
        name = self.chance.choice(sorted(AGGREGATES))
        row = AGGREGATES[name]
        text = self._call(name, row.params, row.optional, 2, variadic=row.several or row.variadic)
        if row.conditional:
            text = f"{text[:-1]}, {self.expression(1, K.BOOL)})"
        return text.replace(")", ", *)", 1) if row.several and self.chance.random() < 0.3 else text

    def _call(self, name: str, params: Sequence[Param], optional: int, depth: int, *, variadic: bool) -> str:
        least = len(params) - optional
        count = self.chance.randint(least, len(params)) if self.chance.random() < 0.95 else self.chance.randint(0, 5)
        if variadic:
            count += self.chance.choice([0, 1, 2])
        arguments = []
        for place in range(count):
            accepted = sorted(params[min(place, len(params) - 1)].accepts) if params else _KINDS
            arguments.append(self.expression(depth - 1, self._near(self.chance.choice(accepted))))
        return f"{name}({', '.join(arguments)})"

    def _near(self, kind: K) -> K:
        """Mostly the type itself."""
        return kind if self.chance.random() < 0.92 else self.chance.choice(_KINDS)


_TOKEN = re.compile(r"\s+|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|//[^\n]*|\w+|[=!<>]=|=~|!~|.", re.DOTALL)


def mutated(text: str, others: Sequence[str], chance: random.Random) -> str:
    """A query with some of its tokens lost, doubled, exchanged or taken from another."""
    tokens = _TOKEN.findall(text[:20_000])
    other = _TOKEN.findall(chance.choice(others)[:20_000])
    for _ in range(chance.choice([1, 1, 1, 1, 2, 3, 8])):
        at = chance.randrange(len(tokens) + 1)
        size = chance.choice([1, 1, 1, 2, 5, 20])
        match chance.randrange(6):
            case 0:
                del tokens[at : at + size]
            case 1:
                tokens[at:at] = tokens[at : at + size]
            case 2 if tokens:
                place = chance.randrange(len(tokens))
                tokens[min(at, len(tokens) - 1)], tokens[place] = tokens[place], tokens[min(at, len(tokens) - 1)]
            case 3 if other:
                begin = chance.randrange(len(other))
                tokens[at:at] = other[begin : begin + size]
            case 4 if other:
                begin = chance.randrange(len(other))
                tokens[at : at + size] = other[begin : begin + size]
            case _:
                tokens.insert(
                    at,
                    chance.choice(
                        ["(", ")", "|", ",", "'", '"', "-", "*", "..", ";", "\0", "\u202e", "9" * 30, "let ", "[", "{"]
                    ),
                )
    return "".join(tokens)
