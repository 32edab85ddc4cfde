"""Random typed tables, expressions and pipelines, as hypothesis draws them."""

from __future__ import annotations

import uuid
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from lurewire.kql.types import KqlType as K

from .model import Relation
from .values import DAY, HOUR, LAST_TICK, datetime_text, json_text, timespan_text

if TYPE_CHECKING:
    from collections.abc import Callable

Texts = st.SearchStrategy[str]

#: The columns of every random table: all ten types, and names that differ in their case alone.
COLUMNS = {
    "b": K.BOOL, "i": K.INT, "l": K.LONG, "L": K.STRING, "r": K.REAL, "m": K.DECIMAL, "s": K.STRING, "S": K.LONG,
    "t": K.DATETIME, "T": K.DATETIME, "p": K.TIMESPAN, "g": K.GUID, "d": K.DYNAMIC, "D": K.DYNAMIC,
}  # fmt: skip
_BASE = 639_029_088_000_000_000

WORDS = [
    "", "a", "A", "ab", "aB", "foo bar", "foo-bar", "Foo.BAR", "bar", "foo", "x_y", "_", "10.0.0.1", "192.168.1.5", "42", "-7",
    "1.5", "true", "2026-01-01", "2026-01-01T10:11:12.1234567Z", "1.02:03:04", "Straße", "ÄÖ", "äö", "日本 語", "a,b,,c", "C:\\x\\y",
    '{"a":1,"b":[1,2]}', '[1,"x"]', "null", "%20", "it's", 'say "x"', "  pad ", "tab\there", "é", "e\u0301", "İ", "ﬀ", "a\nb",
]  # fmt: skip

_json_leaf = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([0.5, -1.25, 3.75]), st.sampled_from(WORDS[:14])
)
_json = st.recursive(
    _json_leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "A", "k 1"]), inner, max_size=3)
    ),
    max_leaves=5,
)
_guids = [uuid.UUID(int=1), uuid.UUID("74be27de-1e4e-49d9-b579-fe0b331d3642"), uuid.UUID(int=2**128 - 1)]

VALUES: dict[K, st.SearchStrategy[Any]] = {
    K.BOOL: st.one_of(st.none(), st.booleans()),
    K.INT: st.one_of(st.none(), st.integers(-4, 9), st.sampled_from([2**31 - 1, -(2**31)])),
    K.LONG: st.one_of(st.none(), st.integers(-5, 12), st.sampled_from([2**31, -(2**40), 10**12])),
    K.REAL: st.one_of(st.none(), st.sampled_from([0.0, 0.5, -0.5, 1.0, 2.5, -3.75, 1e6, 0.1, 7.25, -1.0])),
    K.DECIMAL: st.one_of(st.none(), st.sampled_from([Decimal("1.5"), Decimal("-0.25"), Decimal(7), Decimal("0.1")])),
    K.STRING: st.sampled_from(WORDS),
    K.DATETIME: st.one_of(
        st.none(),
        st.integers(_BASE - 3 * DAY, _BASE + 3 * DAY),
        st.sampled_from([0, 1, LAST_TICK, _BASE, _BASE - 1, _BASE + 1, 504_911_232_000_000_001, _BASE - 59 * DAY]),
    ),
    K.TIMESPAN: st.one_of(st.none(), st.integers(-3 * DAY, 3 * DAY), st.sampled_from([0, 1, -1, HOUR, DAY, -DAY + 1])),
    K.GUID: st.one_of(st.none(), st.sampled_from(_guids)),
    K.DYNAMIC: _json,
}


@st.composite
def relations(draw: st.DrawFn, most: int = 8) -> Relation:
    """A table of the ten types."""
    rows = draw(st.lists(st.tuples(*(VALUES[kind] for kind in COLUMNS.values())), max_size=most))
    return Relation(list(COLUMNS), list(COLUMNS.values()), rows)


# Literals


def quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def literal(kind: K, value: Any) -> str:
    """A value as KQL writes it."""
    if kind is K.STRING:
        return quoted(value)
    if value is None:
        return f"{kind}(null)"
    match kind:
        case K.BOOL:
            return "true" if value else "false"
        case K.LONG:
            return str(value) if value >= 0 else f"({value})"
        case K.DATETIME:
            return f"datetime({datetime_text(value)})"
        case K.TIMESPAN:
            return f"timespan({timespan_text(value)})"
        case K.DYNAMIC:
            return f"dynamic({json_text(value)})"
        case _:
            return f"{kind}({value})"


LITERALS: dict[K, Texts] = {kind: values.map(partial(literal, kind)) for kind, values in VALUES.items()}

# Expressions


def form(shape: str, **parts: Texts) -> Texts:
    """Text with its `{places}` filled."""
    names = list(parts)
    return st.tuples(*parts.values()).map(lambda drawn: shape.format(**dict(zip(names, drawn, strict=True))))


def names_of(columns: dict[str, K], kind: K) -> list[str]:
    return [name for name, held in columns.items() if held is kind]


def leaves(columns: dict[str, K], kind: K) -> Texts:
    held = names_of(columns, kind)
    return st.one_of(st.sampled_from(held), LITERALS[kind]) if held else LITERALS[kind]


NEEDLES = st.sampled_from([quoted(word) for word in WORDS if len(word) < 12])
PATTERNS = st.sampled_from(
    [
        quoted(text)
        for text in ["a", "[a-z]+", "(\\d+)", "^foo", "o\\b", "(f)(o+)", "b.r$", "(?i)foo", "x|a", "\\.", "(a)?b"]
    ]
)
SPANS = st.sampled_from(["1d", "1h", "7m", "10s", "1tick", "1.5h", "30d", "3ms"])
SMALL = st.sampled_from(["0", "1", "2", "3", "5", "(-1)", "(-2)", "10"])
POSITIVE = st.sampled_from(["1", "2", "3", "7", "10"])
PARTS = st.sampled_from(
    [
        "'year'",
        "'quarter'",
        "'month'",
        "'week'",
        "'day'",
        "'hour'",
        "'minute'",
        "'second'",
        "'millisecond'",
        "'microsecond'",
    ]
)
TEXT_OPERATORS = st.sampled_from(
    [sign + word + end for word in ("has", "hasprefix", "hassuffix", "contains", "startswith", "endswith") for sign in ("", "!") for end in ("", "_cs")]
    + ["=~", "!~"]
)  # fmt: skip
COMPARISONS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
EQUALITY = st.sampled_from(["==", "!="])
_ORDERED = [K.INT, K.LONG, K.REAL, K.DATETIME, K.TIMESPAN]


def expressions(columns: dict[str, K], kind: K, depth: int = 2) -> Texts:
    """An expression of a type over columns."""
    return _expressions(tuple(columns.items()), kind, depth)


@lru_cache(maxsize=2000)
def _expressions(held: tuple[tuple[str, K], ...], kind: K, depth: int) -> Texts:
    columns = dict(held)
    if depth == 0:
        return leaves(columns, kind)

    def of(inner: K) -> Texts:
        return st.deferred(lambda: expressions(columns, inner, depth - 1))

    chosen = [
        form("iff({b}, {x}, {y})", b=of(K.BOOL), x=of(kind), y=of(kind)),
        form("case({b}, {x}, {c}, {y}, {z})", b=of(K.BOOL), c=of(K.BOOL), x=of(kind), y=of(kind), z=of(kind)),
    ]
    if kind is not K.DYNAMIC:
        chosen.append(form("coalesce({x}, {y})", x=of(kind), y=of(kind)))
    return st.one_of(leaves(columns, kind), *_MAKERS[kind](of), st.one_of(*chosen))


Of = "Callable[[K], Texts]"


def _bools(of: Callable[[K], Texts]) -> list[Texts]:
    comparable = st.sampled_from(_ORDERED)
    s, d = of(K.STRING), of(K.DYNAMIC)
    return [
        comparable.flatmap(lambda kind: form("({x} {op} {y})", x=of(kind), op=COMPARISONS, y=of(kind))),
        form("({x} {op} {y})", x=st.one_of(of(K.INT), of(K.LONG)), op=COMPARISONS, y=of(K.REAL)),
        form("({x} {op} {y})", x=s, op=EQUALITY, y=s),
        form("({x} {op} {y})", x=of(K.GUID), op=EQUALITY, y=of(K.GUID)),
        form("({x} {op} {y})", x=of(K.BOOL), op=EQUALITY, y=of(K.BOOL)),
        form("({x} {op} {y})", x=d, op=EQUALITY, y=s),
        form("({x} {op} {y})", x=d, op=COMPARISONS, y=of(K.LONG)),
        form("({x} {op} {y})", x=s, op=TEXT_OPERATORS, y=NEEDLES),
        form("({x} {op} {y})", x=st.one_of(s, d), op=TEXT_OPERATORS, y=NEEDLES),
        form("({x} matches regex {y})", x=s, y=PATTERNS),
        form("({x} and {y})", x=of(K.BOOL), y=of(K.BOOL)),
        form("({x} or {y} or {z})", x=of(K.BOOL), y=of(K.BOOL), z=of(K.BOOL)),
        form("not({x})", x=of(K.BOOL)),
        form("({x} {op} ({a}, {b}, {c}))", x=s, op=st.sampled_from(["in", "!in", "in~", "!in~", "has_any", "has_all"]), a=NEEDLES, b=NEEDLES, c=s),
        form("({x} {op} ({a}, {b}, {c}))", x=of(K.LONG), op=st.sampled_from(["in", "!in"]), a=SMALL, b=SMALL, c=of(K.LONG)),
        form('({x} {op} (dynamic(["foo", "a", "42"])))', x=st.one_of(s, d), op=st.sampled_from(["in", "!in", "in~", "has_any", "has_all"])),
        form("({x} between ({a} .. {b}))", x=of(K.LONG), a=of(K.LONG), b=of(K.LONG)),
        form("({x} !between ({a} .. {b}))", x=of(K.DATETIME), a=of(K.DATETIME), b=SPANS),
        st.sampled_from([*K]).flatmap(lambda kind: form("{f}({x})", f=st.sampled_from(["isnull", "isnotnull", "isempty", "isnotempty"]), x=of(kind))),
        form("tobool({x})", x=st.one_of(s, d, of(K.LONG))),
        form("{f}({x})", f=st.sampled_from(["isnan", "isinf", "isfinite"]), x=of(K.REAL)),
        form("ipv4_is_private({x})", x=st.sampled_from(['"10.0.0.1"', '"8.8.8.8"', '"172.16.5.5"', '"x"'])),
    ]  # fmt: skip


def _longs(of: Callable[[K], Texts]) -> list[Texts]:
    s, t, n = of(K.STRING), of(K.DATETIME), of(K.LONG)
    return [
        form("({x} {op} {y})", x=n, op=st.sampled_from(["+", "-", "*", "/", "%"]), y=st.one_of(n, of(K.INT))),
        form("strlen({x})", x=s),
        form("string_size({x})", x=s),
        form("tolong({x})", x=st.one_of(s, of(K.REAL), of(K.BOOL), of(K.DYNAMIC))),
        form("array_length({x})", x=of(K.DYNAMIC)),
        form("indexof({x}, {y})", x=s, y=st.sampled_from(['"a"', '"o"', '"bar"', '"ä"'])),
        form("indexof({x}, {y}, {a}, {n}, {k})", x=s, y=st.sampled_from(['"a"', '"o"', '"1"']), a=SMALL, n=SMALL, k=st.sampled_from(["1", "2", "3"])),
        form("indexof({x}, {y}, {a}, {n})", x=s, y=st.sampled_from(['"a"', '"o"', '"bar"']), a=SMALL, n=SMALL),
        form("countof({x}, {y})", x=s, y=st.sampled_from(['"a"', '"oo"', '"b"'])),
        form("datetime_diff({part}, {x}, {y})", part=PARTS, x=t, y=t),
        form("bin({x}, {y})", x=n, y=SMALL),
        form("bin_at({x}, {y}, {z})", x=n, y=POSITIVE, z=SMALL),
        form("abs({x})", x=n),
        form("-{x}", x=n),
        form("{f}({x}, {y})", f=st.sampled_from(["min_of", "max_of", "binary_and", "binary_or", "binary_xor"]), x=n, y=n),
        form("binary_not({x})", x=n),
        form("week_of_year({x})", x=t),
        form("strcmp({x}, {y})", x=s, y=s),
        form("array_index_of({x}, {y})", x=of(K.DYNAMIC), y=NEEDLES),
        form("parse_ipv4({x})", x=st.sampled_from(['"10.0.0.1"', '"8.8.8.8/24"', '"x"'])),
    ]  # fmt: skip


def _ints(of: Callable[[K], Texts]) -> list[Texts]:
    t = of(K.DATETIME)
    return [
        form("toint({x})", x=st.one_of(of(K.STRING), of(K.REAL), of(K.LONG), of(K.DYNAMIC))),
        form("{f}({x})", f=st.sampled_from(["dayofmonth", "dayofyear", "hourofday", "monthofyear", "getyear"]), x=t),
        form("datetime_part({part}, {x})", part=PARTS.filter(lambda part: part != "'week'"), x=t),
    ]


def _reals(of: Callable[[K], Texts]) -> list[Texts]:
    r = of(K.REAL)
    return [
        form("({x} {op} {y})", x=r, op=st.sampled_from(["+", "-", "*", "/", "%"]), y=r),
        form("({x} {op} {y})", x=of(K.LONG), op=st.sampled_from(["+", "-", "*", "/"]), y=r),
        form("({x} / {y})", x=of(K.TIMESPAN), y=SPANS),
        form("toreal({x})", x=st.one_of(of(K.STRING), of(K.LONG), of(K.DYNAMIC))),
        form("round({x}, {y})", x=r, y=st.sampled_from(["0", "1", "2"])),
        form("bin({x}, {y})", x=r, y=st.sampled_from(["0.5", "1.0", "0.25", "2"])),
        form("{f}({x})", f=st.sampled_from(["floor", "exp", "sqrt", "sin", "cos", "atan", "abs", "radians"]), x=r),
        form("{f}({x}, {y})", f=st.sampled_from(["min_of", "max_of"]), x=r, y=r),
        form("({x} + {y})", x=of(K.DYNAMIC), y=r),
    ]  # fmt: skip


def _strings(of: Callable[[K], Texts]) -> list[Texts]:
    s = of(K.STRING)
    return [
        st.sampled_from([*K]).flatmap(lambda kind: form("tostring({x})", x=of(kind))),
        form("strcat({x}, {y}, {z})", x=s, y=of(K.LONG), z=s),
        form("strcat_delim({x}, {y}, {z})", x=NEEDLES, y=s, z=of(K.BOOL)),
        form("{f}({x})", f=st.sampled_from(["tolower", "toupper", "reverse", "url_encode_component", "base64_encode_tostring", "hash_sha256", "hash_md5"]), x=s),
        form("substring({x}, {a}, {b})", x=s, a=SMALL, b=SMALL),
        form("substring({x}, {a})", x=s, a=SMALL),
        form("replace_string({x}, {a}, {b})", x=s, a=NEEDLES, b=NEEDLES),
        form("replace_regex({x}, {a}, {b})", x=s, a=PATTERNS, b=st.sampled_from(['"z"', '""', '"<\\\\0>"'])),
        form("trim({a}, {x})", x=s, a=st.sampled_from(['" "', '"a"', '"[fo]"', '"\\\\."'])),
        form("{f}({a}, {x})", f=st.sampled_from(["trim_start", "trim_end"]), x=s, a=st.sampled_from(['" +"', '"foo"', '"b"'])),
        form("extract({a}, {n}, {x})", a=st.sampled_from(['"(f)(o+)"', '"([a-z]+)(.)"', '"(a)?(b)"']), n=st.sampled_from(["0", "1", "2"]), x=s),
        form("tostring({x}[{y}])", x=form("split({x}, {d})", x=s, d=st.sampled_from(['","', '"."', '"o"', '" "'])), y=SMALL),
        form("format_datetime({x}, {f})", x=of(K.DATETIME), f=st.sampled_from(["'yyyy-MM-dd HH:mm:ss'", "'yy/M/d h:m:s tt'", "'HH:mm:ss.fff'"])),
        form("strcat_array({x}, ',')", x=of(K.DYNAMIC)),
        form("gettype({x})", x=of(K.DYNAMIC)),
    ]  # fmt: skip


def _datetimes(of: Callable[[K], Texts]) -> list[Texts]:
    t = of(K.DATETIME)
    return [
        form("({x} {op} {y})", x=t, op=st.sampled_from(["+", "-"]), y=st.one_of(of(K.TIMESPAN), SPANS)),
        form("bin({x}, {y})", x=t, y=SPANS),
        form("bin_at({x}, {y}, {z})", x=t, y=SPANS, z=t),
        form("{f}({x}{n})", f=st.sampled_from([a + b for a in ("startof", "endof") for b in ("day", "week", "month", "year")]), x=t, n=st.sampled_from(["", ", 1", ", -1"])),
        form("datetime_add({part}, {n}, {x})", part=PARTS, n=SMALL, x=t),
        form("todatetime({x})", x=st.one_of(of(K.STRING), of(K.DYNAMIC))),
        form("ago({x})", x=st.one_of(SPANS, of(K.TIMESPAN))),
        form("{f}({x}, {y})", f=st.sampled_from(["min_of", "max_of"]), x=t, y=t),
        form("unixtime_seconds_todatetime({x})", x=of(K.LONG)),
    ]  # fmt: skip


def _timespans(of: Callable[[K], Texts]) -> list[Texts]:
    p = of(K.TIMESPAN)
    return [
        form("({x} {op} {y})", x=p, op=st.sampled_from(["+", "-", "%"]), y=p),
        form("({x} - {y})", x=of(K.DATETIME), y=of(K.DATETIME)),
        form("({x} % {y})", x=of(K.DATETIME), y=SPANS),
        form("({x} * {y})", x=p, y=st.one_of(SMALL, st.sampled_from(["0.5", "1.25"]))),
        form("({x} / {y})", x=p, y=st.one_of(POSITIVE, st.sampled_from(["0.5", "4.0"]))),
        form("bin({x}, {y})", x=p, y=SPANS),
        form("totimespan({x})", x=of(K.STRING)),
        form("dayofweek({x})", x=of(K.DATETIME)),
        form("abs({x})", x=p),
        form("-{x}", x=p),
    ]  # fmt: skip


def _guid(of: Callable[[K], Texts]) -> list[Texts]:
    return [form("toguid({x})", x=of(K.STRING))]


def _decimals(of: Callable[[K], Texts]) -> list[Texts]:
    return [form("{x}", x=of(K.DECIMAL))]


def _dynamics(of: Callable[[K], Texts]) -> list[Texts]:
    d, s = of(K.DYNAMIC), of(K.STRING)
    arrays = st.one_of(
        form("pack_array({x}, {y}, {z})", x=s, y=of(K.LONG), z=s),
        form("split({x}, {y})", x=s, y=st.sampled_from(['","', '"o"', '" "'])),
        st.sampled_from(["dynamic([1,2,3])", 'dynamic(["a","foo",null])', "dynamic([])"]),
    )
    bags = st.one_of(
        form('bag_pack("a", {x}, {k}, {y})', x=s, k=NEEDLES, y=of(K.LONG)),
        st.sampled_from(['dynamic({"a":1,"b":"x"})', "dynamic({})"]),
    )
    return [
        form("{x}.{k}", x=st.sampled_from(["d", "D"]), k=st.sampled_from(["a", "b", "A"])),
        form("{x}[{k}]", x=st.sampled_from(["d", "D"]), k=st.sampled_from(['"a"', '"k 1"', "0", "1", "-1"])),
        form("parse_json({x})", x=s),
        arrays,
        bags,
        form("array_concat({x}, {y})", x=arrays, y=arrays),
        form("array_slice({x}, {a}, {b})", x=arrays, a=SMALL, b=SMALL),
        form("array_reverse({x})", x=arrays),
        form("{f}({x}, {y})", f=st.sampled_from(["set_union", "set_difference", "set_intersect"]), x=arrays, y=arrays),
        form("bag_merge({x}, {y})", x=bags, y=bags),
        form("bag_keys({x})", x=st.one_of(bags, d)),
        form("bag_remove_keys({x}, dynamic(['a']))", x=bags),
        form("zip({x}, {y})", x=arrays, y=arrays),
        form("extract_all({p}, {x})", p=st.sampled_from(['"([a-z])"', '"(f)(o+)"']), x=s),
    ]  # fmt: skip


_MAKERS: dict[K, Callable[[Callable[[K], Texts]], list[Texts]]] = {
    K.BOOL: _bools,
    K.INT: _ints,
    K.LONG: _longs,
    K.REAL: _reals,
    K.DECIMAL: _decimals,
    K.STRING: _strings,
    K.DATETIME: _datetimes,
    K.TIMESPAN: _timespans,
    K.GUID: _guid,
    K.DYNAMIC: _dynamics,
}
