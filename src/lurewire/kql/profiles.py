"""What a query may use, by where it runs: an ordinary query, or a data collection rule's transformation.

The list for transformations is Azure Monitor's
(https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql), with `iff`,
`replace` and comparison lists that its own examples use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["query", "transform"]


@dataclass(frozen=True, slots=True)
class Profile:
    """The operators, functions and infix operators that are allowed, by the names they are written with; None allows all."""

    name: ProfileName
    operators: frozenset[str] | None = None
    functions: frozenset[str] | None = None
    infix: frozenset[str] | None = None
    tables: frozenset[str] | None = None
    #: Functions that only the other profile has.
    elsewhere: frozenset[str] = frozenset()
    #: Most columns that one parse operator makes.
    parse_columns: int | None = None


_TRANSFORM_FUNCTIONS = frozenset(
    """
    binary_and binary_or binary_not binary_shift_left binary_shift_right binary_xor
    tobool todatetime todouble toreal toguid toint tolong tostring totimespan
    ago datetime_add datetime_diff datetime_part dayofmonth dayofweek dayofyear endofday endofmonth endofweek endofyear
    getmonth monthofyear getyear hourofday make_datetime make_timespan now startofday startofmonth startofweek startofyear weekofyear
    array_concat array_length pack_array pack parse_json parse_xml zip
    abs bin floor ceiling exp exp10 exp2 isfinite isinf isnan log log10 log2 pow round sign
    case iif iff max_of min_of not
    base64_encodestring base64_decodestring countof extract extract_all indexof isempty isnotempty replace split strcat
    strcat_delim strlen substring tolower toupper hash_sha256
    gettype isnotnull isnull columnifexists parse_cef_dictionary geo_location
    """.split()  # noqa: SIM905 - names read better as a paragraph
)
_TRANSFORM_INFIX = frozenset(
    """
    + - * / % < > <= >= == != and or in !in =~ !~ contains !contains contains_cs !contains_cs has !has has_cs !has_cs
    startswith !startswith startswith_cs !startswith_cs endswith !endswith endswith_cs !endswith_cs between !between
    """.split()  # noqa: SIM905 - names read better as a paragraph
) | {"matches regex"}

PROFILES: dict[ProfileName, Profile] = {
    "query": Profile("query", elsewhere=frozenset({"parse_cef_dictionary", "geo_location"})),
    "transform": Profile(
        "transform",
        operators=frozenset(
            {"where", "extend", "project", "project-away", "project-rename", "parse", "print", "datatable"}
        ),
        functions=_TRANSFORM_FUNCTIONS,
        infix=_TRANSFORM_INFIX,
        tables=frozenset({"source"}),
        parse_columns=10,
    ),
}
