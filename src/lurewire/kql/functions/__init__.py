"""All functions and aggregates, by every name they answer to. A new family is a module and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    addresses,
    aggregates,
    arrays,
    cef,
    conditional,
    conversion,
    dates,
    decimals,
    digests,
    dynamics,
    geo,
    graph_components,
    key_values,
    lookups,
    math,
    network,
    parsing,
    plugin_bodies,
    plugin_patterns,
    reduction,
    series,
    series_decomposition,
    series_filters,
    series_fits,
    series_periods,
    special,
    strings,
    surroundings,
    tabular,
    units,
    user_agents,
    windows,
)

if TYPE_CHECKING:
    from lurewire.kql.udf import Udf

    from .registry import Aggregate, Function

FAMILIES = {
    "Conversion and type": conversion.FUNCTIONS,
    "Conditional": conditional.FUNCTIONS,
    "Mathematical": (*math.FUNCTIONS, *special.FUNCTIONS, *units.FUNCTIONS),
    "Datetime and timespan": dates.FUNCTIONS,
    "String": strings.FUNCTIONS,
    "Parsing and encoding": (*parsing.FUNCTIONS, *cef.FUNCTIONS, *user_agents.FUNCTIONS, *decimals.FUNCTIONS),
    "Dynamic": (*dynamics.FUNCTIONS, *arrays.FUNCTIONS),
    "Series": (
        *series.FUNCTIONS,
        *series_filters.FUNCTIONS,
        *series_fits.FUNCTIONS,
        *series_periods.FUNCTIONS,
        *series_decomposition.FUNCTIONS,
    ),
    "IP address": (*network.FUNCTIONS, *addresses.FUNCTIONS),
    "Geospatial": geo.FUNCTIONS,
    "Sketch": digests.FUNCTIONS,
    "Window": windows.FUNCTIONS,
    "Tabular": tabular.FUNCTIONS,
    "Row and place": lookups.FUNCTIONS,
    "Query": surroundings.FUNCTIONS,
}

FUNCTIONS: dict[str, Function] = {
    name: row
    for family in (*FAMILIES.values(), plugin_bodies.FUNCTIONS, plugin_patterns.FUNCTIONS)
    for row in family
    for name in (row.name, *row.aliases)
}
AGGREGATES: dict[str, Aggregate] = {name: row for row in aggregates.AGGREGATES for name in (row.name, *row.aliases)}
#: The functions in Python, by their SQL names.
UDFS: dict[str, Udf] = {
    udf.sql_name: udf
    for udf in (
        *(row.udf for row in FUNCTIONS.values()),
        *digests.UDFS,
        *key_values.UDFS,
        *graph_components.UDFS,
        *reduction.UDFS,
        *decimals.UDFS,
    )
    if udf is not None
}
