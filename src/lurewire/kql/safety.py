"""The last look at finished SQL: only node types, functions and relations that the compiler is known to make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from . import udf
from .dialects import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

_NODES: frozenset[type] = frozenset(
    {
        exp.Add,
        exp.Alias,
        exp.And,
        exp.Anonymous,
        exp.Between,
        exp.BitwiseAnd,
        exp.BitwiseLeftShift,
        exp.BitwiseOr,
        exp.Boolean,
        exp.CTE,
        exp.Case,
        exp.Cast,
        exp.Column,
        exp.DPipe,
        exp.DataType,
        exp.DataTypeParam,
        exp.Distinct,
        exp.Div,
        exp.EQ,
        exp.Filter,
        exp.From,
        exp.GT,
        exp.GTE,
        exp.Group,
        exp.Having,
        exp.Identifier,
        exp.If,
        exp.In,
        exp.IntDiv,
        exp.Is,
        exp.Join,
        exp.LT,
        exp.LTE,
        exp.Lambda,
        exp.Limit,
        exp.Literal,
        exp.Mod,
        exp.Mul,
        exp.NEQ,
        exp.Neg,
        exp.Not,
        exp.Null,
        exp.NullSafeEQ,
        exp.NullSafeNEQ,
        exp.Or,
        exp.Order,
        exp.Ordered,
        exp.Paren,
        exp.Placeholder,
        exp.PropertyEQ,
        exp.Select,
        exp.Star,
        exp.Struct,
        exp.Sub,
        exp.Subquery,
        exp.Table,
        exp.TableAlias,
        exp.TryCast,
        exp.Union,
        exp.Window,
        sql.Renamed,
        exp.Tuple,
        exp.Values,
        exp.Where,
        exp.With,
    }
)

#: Nodes without nodes below them.
_LEAVES = frozenset({exp.Boolean, exp.Identifier, exp.Literal, exp.Null, exp.Star})

#: Functions of DuckDB that lowerings use; none reads a file, the network, a setting or the catalogue.
FUNCTIONS = frozenset(
    """
    abs acos any_value arg_max arg_min array_to_string asin atan atan2 avg bit_and bit_count bit_or bit_xor ceil coalesce concat_ws
    contains cos cot count covar_pop covar_samp date_diff date_part date_trunc decode degrees encode ends_with epoch_us exp first flatten floor
    from_base64 from_json generate_series greatest isfinite isinf isnan json json_array_length json_extract
    json_extract_string json_keys json_type json_valid least left len length list list_concat list_contains list_distinct
    list_extract list_filter list_position list_reverse list_slice list_sort list_transform list_value list_zip ln log10 log2 lower
    lpad make_timestamp max md5 min nullif octet_length pi pow quantile_disc radians range regexp_escape regexp_extract
    regexp_extract_all regexp_full_match regexp_matches regexp_replace replace reverse right round rpad rtrim sha1 sha256
    random sign sin sqrt starts_with stddev_pop stddev_samp strftime string_split string_split_regex strpos struct_extract substr sum tan to_base64
    error lag lead list_append list_prepend list_reduce repeat row_number to_hex to_json to_months trim trunc try unnest upper uuid var_pop var_samp xor
    """.split()  # noqa: SIM905 - names read better as a paragraph
)


class UnsafeSqlError(AssertionError):
    """Finished SQL holds something that no lowering should make: a mistake of ours, never of a query."""


#: What a node's parts may be beside nodes and lists of them: words, flags and types.
_PLAIN = (str, bool, type(None), exp.DType)
#: Functions that may stand in the place of a table.
_TABLE_FUNCTIONS = frozenset({"generate_series", "values"})


def _check_relation(node: exp.Expression, allowed: set[str]) -> None:
    source = node.args["this"]
    if isinstance(source, exp.Anonymous):
        if source.args["this"] not in _TABLE_FUNCTIONS:
            raise UnsafeSqlError(f"table function {source.args['this']}")
        return
    name = ".".join(node.args[part].this for part in ("catalog", "db", "this") if node.args.get(part))
    if name not in allowed:
        raise UnsafeSqlError(f"relation {name}")


def _scripted(name: str, known: frozenset[str]) -> str:
    if name not in known:
        raise UnsafeSqlError(f"function {name}")
    return name


def _shared(tree: exp.Expression) -> list[str]:
    """The names that the tree's WITH gives."""
    ahead = tree.args.get("with_")
    return [] if ahead is None else [part.args["alias"].args["this"].args["this"] for part in ahead.expressions]


def check(
    tree: exp.Expression, relations: Iterable[str], known: frozenset[str] = FUNCTIONS
) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the tree's parameters and of its functions in Python; `known` are the engine's functions.

    Raises UnsafeSqlError if it holds a node, function or relation that is not allowed.
    """
    allowed, scripted = {*relations, *_shared(tree)}, udf.names()
    parameters: set[str] = set()
    functions: set[str] = set()
    pending: list[exp.Expression] = [tree]
    # A node may stand in several places.
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        kind = type(node)
        if kind not in _NODES:
            raise UnsafeSqlError(f"node {kind.__name__}")
        seen.add(id(node))
        if kind is exp.Anonymous and node.args["this"] not in known:
            functions.add(_scripted(node.args["this"], scripted))
        if kind is exp.Placeholder:
            parameters.add(node.args["this"])
        if kind is exp.Table:
            _check_relation(node, allowed)
        for value in (node.args["expressions"],) if kind is sql.Renamed else node.args.values():
            if type(value) is list:
                pending.extend([part for part in value if type(part) not in _LEAVES and id(part) not in seen])
            elif type(value) not in _LEAVES and not isinstance(value, _PLAIN) and id(value) not in seen:
                pending.append(value)
    return frozenset(parameters), frozenset(functions)
