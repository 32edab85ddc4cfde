"""Strings: parts, searches, replacements, regular expressions (RE2), encodings and hashes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.dialects import duckdb_convert, duckdb_text, duckdb_time, sql
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.scope import ERROR
from lurewire.kql.types import ALL_TYPES, INTEGERS, TYPE_NAMES, KqlType
from lurewire.kql.udf import Udf

from .common import duckdb, literal_argument, named
from .registry import Function, Param, dynamic, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node

#: Any value, as its text.
_TEXT_OF_ANY = Param("value", ALL_TYPES, KqlType.STRING)


_FAR = 1 << 30  # further than any text reaches


def _substring(arguments: Sequence[Node], call: plan.Call) -> Node:
    source, start = arguments[0], arguments[1]
    given = call.arguments[1]
    if isinstance(given, plan.Constant) and isinstance(given.value, int) and given.value >= 0:
        position = sql.number(given.value + 1)
    else:
        # DuckDB refuses places beyond 32 bits, and numbers out of the data must not end the query.
        start = sql.call("greatest", sql.call("least", start, sql.number(_FAR)), sql.number(-_FAR))
        from_end = sql.call("greatest", sql.add(sql.call("length", source), start), sql.number(0))
        position = sql.add(sql.case([(sql.binary(exp.LT, start, sql.number(0)), from_end)], start), sql.number(1))
    if len(arguments) < 3:
        return sql.call("substr", source, position)
    length = sql.call("greatest", arguments[2], sql.number(0))
    if not isinstance(call.arguments[2], plan.Constant):
        length = sql.call("least", length, sql.number(_FAR))
    return sql.call("substr", source, position, length)


def _split(arguments: Sequence[Node], call: plan.Call) -> Node:
    source, delimiter = arguments[0], arguments[1]
    parts = sql.case(
        [(sql.equal(delimiter, sql.text("")), sql.call("list_value", source))],
        sql.call("string_split", source, delimiter),
    )
    if isinstance(call.arguments[1], plan.Constant) and call.arguments[1].value:
        parts = sql.call("string_split", source, delimiter)
    if len(arguments) == 3:
        position = sql.add(arguments[2], sql.number(1))
        chosen = sql.call("list_slice", parts, position, position)
        parts = sql.case([(sql.binary(exp.GTE, arguments[2], sql.number(0)), chosen)], sql.call("list_value"))
    return sql.cast(sql.call("to_json", parts), sql.VARCHAR)


def _strcat_delim(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.call("concat_ws", *arguments)


def _strcat_array(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    items = duckdb_convert.text_list(arguments[0])
    texts = sql.call("list_transform", items, sql.lambda_("e", sql.or_empty(sql.variable("e"))))
    return sql.call("array_to_string", texts, arguments[1])


def _pattern(node: Node, before: str, after: str) -> Node:
    if isinstance(node, exp.Literal):
        return sql.text(f"{before}{node.this}{after}")
    return sql.concat(sql.text(before), node, sql.text(after))


def _trim_start(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.call("regexp_replace", arguments[1], _pattern(arguments[0], "^(?:", ")+"), sql.text(""))


def _trim_end(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.call("regexp_replace", arguments[1], _pattern(arguments[0], "(?:", ")+$"), sql.text(""))


def _trim(arguments: Sequence[Node], call: plan.Call) -> Node:
    return _trim_end([arguments[0], _trim_start(arguments, call)], call)


def _replace_regex(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    # "g" says to replace every match; case is said in the pattern.
    return sql.call("regexp_replace", *arguments, sql.text("g"))


def _bind_extract(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    kind = KqlType.STRING
    if len(node.arguments) == 4:
        kind = typeof(node.arguments[3])
        node = tree.Call(node.at, node.name, node.arguments[:3])
    arguments = binder.arguments(node, row)
    if ERROR in arguments:
        return ERROR
    return to(plan.Call(KqlType.STRING, row, tuple(arguments)), kind)


def typeof(node: tree.Expression) -> KqlType:
    """The type that `typeof(...)` names; raises Problem for anything else."""
    match node:
        case tree.Call(name="typeof", arguments=(tree.Name(name=name),)) if name in TYPE_NAMES:
            return TYPE_NAMES[name]
        case _:
            raise semantic("expected typeof(a type)", node.at)


def _extract(arguments: Sequence[Node], call: plan.Call) -> Node:
    group = literal_argument(call, 1)
    return sql.call("regexp_extract", arguments[2], arguments[0], sql.number(int(str(group))))


def _groups(pattern: str) -> list[str]:
    """The capturing groups of an RE2 pattern by their names; a group without one has an empty name."""
    plain = re.sub(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", "", pattern, flags=re.DOTALL)
    return [found[1] or "" for found in re.finditer(r"\((?!\?)|\(\?P?<(\w+)>", plain)]


def _bind_extract_all(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    chosen: tuple[plan.Scalar, ...] = ()
    if len(node.arguments) == 3:
        groups = binder.bind(node.arguments[1])
        if not isinstance(groups, plan.Constant) or groups.type is not KqlType.DYNAMIC:
            raise unsupported(f"{node.name}(): capture groups that are not a literal array", node.arguments[1].at)
        known = json.loads(str(groups.value)) if groups.value is not None else None
        if not isinstance(known, list) or not known or not all(type(group) in (int, str) for group in known):
            raise semantic(f"{node.name}(): capture groups are an array of numbers and names", node.arguments[1].at)
        chosen = (plan.Constant(KqlType.DYNAMIC, json.dumps(_numbers(binder.bind(node.arguments[0]), known, node))),)
        node = tree.Call(node.at, node.name, (node.arguments[0], node.arguments[2]))
    arguments = binder.arguments(node, row)
    return ERROR if ERROR in arguments else plan.Call(KqlType.DYNAMIC, row, (*arguments, *chosen))


def _numbers(pattern: plan.Scalar, groups: list[int | str], node: tree.Call) -> list[int]:
    """Capture groups given by number or name, by number."""
    names = _groups(pattern.value) if isinstance(pattern, plan.Constant) and isinstance(pattern.value, str) else []
    numbers = []
    for group in groups:
        if isinstance(group, str) and group not in names:
            message = f"{node.name}(): the pattern has no capture group '{group}'"
            raise semantic(message, node.arguments[1].at, token=group)
        numbers.append(group if isinstance(group, int) else names.index(group) + 1)
    return numbers


def _extract_all(arguments: Sequence[Node], call: plan.Call) -> Node:
    count = len(_groups(str(literal_argument(call, 0))))
    wanted = json.loads(str(literal_argument(call, 2))) if len(call.arguments) == 3 else list(range(1, count + 1))
    wanted = [group for group in wanted if 0 <= group <= count]

    def matches(group: int) -> Node:
        return sql.call("regexp_extract_all", arguments[1], arguments[0], sql.number(group))

    if len(wanted) <= 1:
        found = matches(wanted[0] if wanted else 0)
    else:
        zipped = sql.call("list_zip", *(matches(group) for group in wanted))
        fields = [
            sql.call("struct_extract", sql.variable("z"), sql.number(place)) for place in range(1, len(wanted) + 1)
        ]
        found = sql.call("list_transform", zipped, sql.lambda_("z", sql.call("list_value", *fields)))
    return sql.case(
        [(sql.binary(exp.GT, sql.call("len", found), sql.number(0)), sql.cast(sql.call("to_json", found), sql.VARCHAR))]
    )


def _indexof(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    source, match = arguments[0], arguments[1]
    if len(arguments) == 2:
        return sql.subtract(sql.call("strpos", source, match), sql.number(1))
    if len(arguments) == 5:
        return sql.call(_NTH_POSITION.sql_name, *arguments)
    start = arguments[2]
    from_end = sql.add(sql.call("length", source), start)
    first = sql.case([(sql.binary(exp.LT, start, sql.number(0)), from_end)], start)
    window = sql.call("substr", source, sql.add(first, sql.number(1)))
    valid = [sql.binary(exp.GTE, first, sql.number(0))]
    if len(arguments) == 4:
        size = sql.case([(sql.equal(arguments[3], sql.number(-1)), sql.call("length", source))], arguments[3])
        window = sql.call("substr", source, sql.add(first, sql.number(1)), size)
        valid.append(sql.binary(exp.GTE, arguments[3], sql.number(-1)))
    found = sql.call("strpos", window, match)
    position = sql.case(
        [(sql.equal(found, sql.number(0)), sql.number(-1))], sql.subtract(sql.add(found, first), sql.number(1))
    )
    return sql.case([(sql.both(*valid), position)])


def _nth_position(source: str, match: str, start: int, length: int, occurrence: int) -> int | None:
    """Each search begins one character after the place before, and looks at `length` characters anew."""
    place = start + len(source) if start < 0 else start
    if place < 0 or length < -1 or occurrence < 0:
        return None
    if occurrence == 0:
        return -1
    for _ in range(occurrence):
        found = source.find(match, place, len(source) if length == -1 else place + length)
        if found < 0:
            return -1
        place = found + 1
    return found


_NTH_POSITION = Udf(
    "indexof",
    (KqlType.STRING, KqlType.STRING, KqlType.LONG, KqlType.LONG, KqlType.LONG),
    KqlType.LONG,
    _nth_position,
    5,
)


def _indexof_regex(arguments: Sequence[Node], call: plan.Call) -> Node:
    """The place of the nth match that does not overlap the ones before; null where a number is out of its range."""
    del call
    defaults: list[Node] = [sql.number(0), sql.number(-1), sql.number(1)]
    source, pattern = arguments[0], arguments[1]
    start, length, nth = [*arguments[2:], *defaults[len(arguments) - 2 :]]
    size = sql.case([(sql.equal(length, sql.number(-1)), sql.call("length", source))], length)
    window = sql.call("substr", source, sql.add(start, sql.number(1)), size)

    def place(text_: Node) -> Node:
        parts = sql.call("string_split_regex", text_, pattern)
        found = sql.call("regexp_extract_all", text_, pattern)
        before = sql.call("list_slice", parts, sql.number(1), nth)
        between = sql.call("list_slice", found, sql.number(1), sql.subtract(nth, sql.number(1)))
        passed = [
            sql.coalesce(sql.call("length", sql.call("array_to_string", items, sql.text(""))), sql.number(0))
            for items in (before, between)
        ]
        return sql.case(
            [(sql.binary(exp.LT, sql.call("len", found), nth), sql.number(-1))], sql.add(sql.add(*passed), start)
        )

    valid = sql.both(
        sql.binary(exp.GTE, start, sql.number(0)),
        sql.binary(exp.GTE, length, sql.number(-1)),
        sql.binary(exp.GT, nth, sql.number(0)),
    )
    return sql.cast(sql.case([(valid, duckdb_time.bind(window, "w", place))]), sql.BIGINT)


def _strcmp(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    less, more = (sql.binary(kind, arguments[0], arguments[1]) for kind in (exp.LT, exp.GT))
    return sql.cast(sql.case([(less, sql.number(-1)), (more, sql.number(1))], sql.number(0)), sql.BIGINT)


def _has_any_index(arguments: Sequence[Node], call: plan.Call) -> Node:
    """The place of the first array element that is in the text as a term; -1 without one."""
    del call

    def place(items: Node) -> Node:
        places = sql.call("range", sql.number(1), sql.add(sql.call("len", items), sql.number(1)))
        needle = sql.coalesce(sql.call("list_extract", items, sql.variable("i")), sql.text(""))
        inside = duckdb_text.term_of("has", False, arguments[0], needle)
        first = sql.call("list_extract", sql.call("list_filter", places, sql.lambda_("i", inside)), sql.number(1))
        return sql.subtract(sql.coalesce(first, sql.number(0)), sql.number(1))

    return duckdb_time.bind(duckdb_convert.text_list(arguments[1]), "ts", place)


def _bind_extract_json(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """A JSONPath of keys and indexes into a text; the third argument says the type, which is string without it."""
    kind = KqlType.STRING
    if len(node.arguments) == 3:
        kind = typeof(node.arguments[2])
        node = tree.Call(node.at, node.name, node.arguments[:2])
    arguments = binder.arguments(node, row)
    if ERROR in arguments:
        return ERROR
    assert isinstance(arguments[0], plan.Constant)
    steps = _json_path(str(arguments[0].value))
    if steps is None:
        raise unsupported(f"the JSONPath '{arguments[0].value}'", node.arguments[0].at, str(arguments[0].value))
    document: plan.Scalar = plan.Call(KqlType.DYNAMIC, row, (arguments[1],))
    return to(plan.Path(KqlType.DYNAMIC, document, steps) if steps else document, kind)


_STEP = re.compile(r"\.(?P<name>[^.\[\]*]+)|\[(?P<index>-?\d+)\]|\[(?:'(?P<one>[^']*)'|\"(?P<two>[^\"]*)\")\]")


def _json_path(path: str) -> tuple[str | int, ...] | None:
    """`$.a[0]['b']` as steps; None for what is no such path."""
    if not path.startswith("$"):
        return None
    steps: list[str | int] = []
    place = 1
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            return None
        name = match["name"] or match["one"] or match["two"]
        steps.append(int(match["index"]) if match["index"] is not None else name or "")
        place = match.end()
    return tuple(steps)


def _countof(arguments: Sequence[Node], call: plan.Call) -> Node:
    kind = str(literal_argument(call, 2)) if len(arguments) == 3 else "normal"
    if kind == "regex":
        return sql.call("len", sql.call("regexp_extract_all", arguments[0], arguments[1]))
    # Plain matches may overlap, so each position is tried.
    positions = sql.call("range", sql.number(1), sql.add(sql.call("length", arguments[0]), sql.number(1)))
    here = sql.call("starts_with", sql.call("substr", arguments[0], sql.variable("i")), arguments[1])
    return sql.call("len", sql.call("list_filter", positions, sql.lambda_("i", here)))


#: Copies that strrep() makes at most (https://learn.microsoft.com/kusto/query/strrep-function#returns).
_MOST_COPIES = 1024


def _reverse(arguments: Sequence[Node], call: plan.Call) -> Node:
    """By code points: DuckDB's own reverse() leaves a letter and its combining accent in their order."""
    del call
    characters = sql.call("list_reverse", sql.call("string_split", arguments[0], sql.text("")))
    return sql.call("array_to_string", characters, sql.text(""))


def _strrep(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    times = sql.call("least", sql.call("greatest", arguments[1], sql.number(0)), sql.number(_MOST_COPIES))
    copies = sql.call("list_transform", sql.call("range", times), sql.lambda_("i", arguments[0]))
    delimiter = arguments[2] if len(arguments) == 3 else sql.text("")
    return sql.call("array_to_string", copies, delimiter)


def _tohex(arguments: Sequence[Node], call: plan.Call) -> Node:
    wide = call.arguments[0].type is not KqlType.INT
    value = arguments[0] if wide else sql.cast(arguments[0], sql.BIGINT)
    digits = sql.call("lower", sql.call("to_hex", value))
    if not wide:
        # An int is written in 32 bits.
        negative = sql.binary(exp.LT, arguments[0], sql.number(0))
        digits = sql.case([(negative, sql.call("right", digits, sql.number(8)))], digits)
    if len(arguments) == 1:
        return digits
    width = sql.call("greatest", sql.call("least", arguments[1], sql.number(16)), sql.call("length", digits))
    return sql.call("lpad", digits, sql.cast(width, sql.INTEGER), sql.text("0"))


def _hash(name: str) -> Callable[[Sequence[Node], plan.Call], Node]:
    return lambda arguments, _: sql.call(name, arguments[0])


def _decode_base64(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.call("try", sql.call("decode", sql.call("from_base64", arguments[0])))


FUNCTIONS = (
    Function("strlen", (text("source"),), KqlType.LONG, named("length"), naming="prefix_first"),
    Function(
        "string_size",
        (text("source"),),
        KqlType.LONG,
        duckdb(lambda arguments, _: sql.call("octet_length", sql.call("encode", arguments[0]))),
        naming="prefix_first",
    ),
    Function("tolower", (text("source"),), KqlType.STRING, named("lower"), aliases=("lower",)),
    Function("toupper", (text("source"),), KqlType.STRING, named("upper"), aliases=("upper",)),
    Function(
        "substring",
        (text("source"), whole("startingIndex"), whole("length")),
        KqlType.STRING,
        duckdb(_substring),
        optional=1,
    ),
    Function(
        "split",
        (text("source"), text("delimiter"), whole("requestedIndex")),
        KqlType.DYNAMIC,
        duckdb(_split),
        optional=1,
        naming="first",
    ),
    Function(
        "strcat",
        (_TEXT_OF_ANY,),
        KqlType.STRING,
        duckdb(lambda arguments, _: sql.concat(*arguments)),
        variadic=True,
        never_null=True,
    ),
    Function(
        "strcat_delim",
        (text("delimiter"), _TEXT_OF_ANY),
        KqlType.STRING,
        duckdb(_strcat_delim),
        variadic=True,
        never_null=True,
    ),
    Function(
        "strcat_array",
        (dynamic("array"), text("delimiter")),
        KqlType.STRING,
        duckdb(_strcat_array),
        ("array_strcat",),
        makes_null=True,
    ),
    Function("trim", (text("regex"), text("source")), KqlType.STRING, duckdb(_trim)),
    Function("trim_start", (text("regex"), text("source")), KqlType.STRING, duckdb(_trim_start)),
    Function("trim_end", (text("regex"), text("source")), KqlType.STRING, duckdb(_trim_end)),
    Function("replace_string", (text("text"), text("lookup"), text("rewrite")), KqlType.STRING, named("replace")),
    Function(
        "replace_regex",
        (text("source"), text("lookup_regex"), text("rewrite_pattern")),
        KqlType.STRING,
        duckdb(_replace_regex),
    ),
    Function(
        "replace",
        (text("regex"), text("rewrite"), text("text")),
        KqlType.STRING,
        duckdb(lambda arguments, call: _replace_regex([arguments[2], arguments[0], arguments[1]], call)),
        page="replace-regex-function",
    ),
    Function(
        "extract",
        (text("regex"), whole("captureGroup", literal=True), text("source")),
        KqlType.STRING,
        duckdb(_extract),
        bind=_bind_extract,
    ),
    Function(
        "extract_all",
        (text("regex", literal=True), text("source")),
        KqlType.DYNAMIC,
        duckdb(_extract_all),
        ("extractall",),
        makes_null=True,
        bind=_bind_extract_all,
    ),
    Function(
        "indexof",
        (
            Param("string", ALL_TYPES, KqlType.STRING),
            Param("match", ALL_TYPES, KqlType.STRING),
            whole("start"),
            whole("length"),
            whole("occurrence"),
        ),
        KqlType.LONG,
        duckdb(_indexof),
        optional=3,
        makes_null=True,
        udf=_NTH_POSITION,
    ),
    Function(
        "countof",
        (text("source"), text("search"), text("kind", literal=True)),
        KqlType.LONG,
        duckdb(_countof),
        optional=1,
    ),
    Function(
        "indexof_regex",
        (text("string"), text("match"), whole("start"), whole("length"), whole("occurrence")),
        KqlType.LONG,
        duckdb(_indexof_regex),
        optional=3,
        makes_null=True,
    ),
    Function("strcmp", (text("string1"), text("string2")), KqlType.LONG, duckdb(_strcmp)),
    Function(
        "has_any_index", (text("source"), dynamic("values")), KqlType.LONG, duckdb(_has_any_index), makes_null=True
    ),
    Function(
        "extract_json",
        (text("jsonPath", literal=True), text("dataSource")),
        KqlType.STRING,
        duckdb(lambda arguments, _: duckdb_convert.parse_json(arguments[0])),
        ("extractjson",),
        makes_null=True,
        bind=_bind_extract_json,
    ),
    Function("reverse", (_TEXT_OF_ANY,), KqlType.STRING, duckdb(_reverse)),
    Function(
        "strrep", (_TEXT_OF_ANY, whole("multiplier"), text("delimiter")), KqlType.STRING, duckdb(_strrep), optional=1
    ),
    Function(
        "tohex",
        (Param("value", INTEGERS), whole("minLength")),
        KqlType.STRING,
        duckdb(_tohex),
        optional=1,
        naming="first",
    ),
    Function("regex_quote", (text("string"),), KqlType.STRING, named("regexp_escape")),
    Function(
        "base64_encode_tostring",
        (text("string"),),
        KqlType.STRING,
        duckdb(lambda arguments, _: sql.call("to_base64", sql.call("encode", arguments[0]))),
        ("base64_encodestring",),
    ),
    Function(
        "base64_decode_tostring",
        (text("base64_string"),),
        KqlType.STRING,
        duckdb(_decode_base64),
        ("base64_decodestring",),
        makes_null=True,
    ),
    Function("hash_sha256", (_TEXT_OF_ANY,), KqlType.STRING, duckdb(_hash("sha256"))),
    Function("hash_sha1", (_TEXT_OF_ANY,), KqlType.STRING, duckdb(_hash("sha1"))),
    Function("hash_md5", (_TEXT_OF_ANY,), KqlType.STRING, duckdb(_hash("md5"))),
)
