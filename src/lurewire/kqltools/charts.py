"""Charts for `render`: what is drawn, by Kusto's rules for columns, in a terminal and as PNG or SVG.

Source: https://learn.microsoft.com/kusto/query/render-operator. Which column is which: `xcolumn`, `ycolumns` and `series` say
it; else the first column that can be the axis is, numbers are drawn, and texts name the series. A row of arrays, as
make-series gives it, is a series.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql import KqlType, datetime_from_ticks, datetime_text, json_value, ticks_from_text

from .terminal import inert
from .terminal_charts import draw_bars, draw_card, draw_points

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lurewire.kql import Column, Result

_NUMBERS = frozenset({KqlType.INT, KqlType.LONG, KqlType.REAL, KqlType.DECIMAL})
_BARS = frozenset({"barchart", "columnchart", "piechart"})
_POINTS = frozenset({"timechart", "linechart", "areachart", "scatterchart"})
VISUALIZATIONS = ("table", "card", *sorted(_BARS | _POINTS))
"""What `render` may name here."""
_TICKS_PER_SECOND = 10_000_000


class UnknownChart(ValueError):
    """A visualization that is not drawn here, or a result that it cannot show."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line or set of bars: places on the axis (text for categories, ticks for times, else numbers) and values."""

    name: str
    x: tuple[Any, ...]
    y: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn; `times` says that the axis counts ticks."""

    kind: str
    title: str
    x_title: str
    y_title: str
    times: bool
    series: tuple[Series, ...]
    cells: tuple[tuple[str, str], ...] = ()


def chart_of(result: Result) -> Chart | None:
    """The chart that the query's `render` asks for, None for a table; raises UnknownChart, by name."""
    rendering = result.render
    if rendering is None or rendering.visualization == "table":
        return None
    kind = rendering.visualization
    if kind not in VISUALIZATIONS:
        raise UnknownChart(f"render {inert(kind)} is not drawn here; these are: {', '.join(VISUALIZATIONS)}")
    options = {name.lower(): value for name, value in rendering.properties.items()}
    if kind == "card":
        row = result.rows[0] if result.rows else ()
        cells = tuple((column.name, _label(column, value)) for column, value in zip(result.columns, row, strict=False))
        return Chart(kind, options.get("title", ""), "", "", False, (), cells)
    x, values, names = _roles(result, kind, options)
    series = _series(result, x, values, names, categories=kind in _BARS)
    times = x.type is KqlType.DATETIME or (x.type is KqlType.DYNAMIC and _time_arrays(result, x))
    if not any(one.x for one in series):
        series = ()
    y_title = options.get("ytitle", values[0].name if len(values) == 1 else "")
    return Chart(kind, options.get("title", ""), options.get("xtitle", x.name), y_title, times, series)


def _roles(result: Result, kind: str, options: Mapping[str, str]) -> tuple[Column, list[Column], list[Column]]:
    """The column of the axis, those of values, and those that name series."""
    columns = {column.name: column for column in result.columns}

    def named(option: str) -> list[Column]:
        texts = [text.strip() for text in options.get(option, "").split(",") if text.strip()]
        missing = [text for text in texts if text not in columns]
        if missing:
            raise UnknownChart(f"render {kind}: {option}: the result has no column '{inert(missing[0])}'")
        return [columns[text] for text in texts]

    x = next(iter(named("xcolumn")), None) or _axis(result, kind)
    given = named("ycolumns")
    values = given or [c for c in result.columns if c is not x and (c.type in _NUMBERS or _arrays(result, c))]
    names = named("series") or [
        c
        for c in result.columns
        if c is not x and c not in values and c.type in (KqlType.STRING, KqlType.GUID, KqlType.BOOL)
    ]
    if not values:
        raise UnknownChart(f"render {kind}: the result has no column of numbers to draw")
    return x, values, names


def _axis(result: Result, kind: str) -> Column:
    columns = result.columns
    if kind == "timechart":
        found = next((c for c in columns if c.type is KqlType.DATETIME or _time_arrays(result, c)), None)
        if found is None:
            raise UnknownChart("render timechart: the result has no column of datetimes for the axis")
        return found
    if kind in _BARS:
        return columns[0]
    allowed = (KqlType.DATETIME, *_NUMBERS)
    found = next((c for c in columns if c.type in allowed or _arrays(result, c)), None)
    times = next((c for c in columns if c.type is KqlType.DATETIME or _time_arrays(result, c)), None)
    if found is None:
        raise UnknownChart(f"render {kind}: the result has no column of numbers or datetimes for the axis")
    return found if times is None else times


def _first(result: Result, column: Column) -> Any:
    if column.type is not KqlType.DYNAMIC:
        return None
    place = result.columns.index(column)
    return next((json.loads(row[place]) for row in result.rows if row[place] is not None), None)


def _arrays(result: Result, column: Column) -> bool:
    first = _first(result, column)
    return isinstance(first, list) and all(one is None or isinstance(one, int | float) for one in first)


def _time_arrays(result: Result, column: Column) -> bool:
    first = _first(result, column)
    return (
        isinstance(first, list)
        and bool(first)
        and all(isinstance(one, str) and _time(one) is not None for one in first)
    )


def _time(text: str) -> int | None:
    return ticks_from_text(text)


def _series(
    result: Result, x: Column, values: list[Column], names: list[Column], *, categories: bool
) -> tuple[Series, ...]:
    places = {column.name: index for index, column in enumerate(result.columns)}
    found: dict[str, tuple[list[Any], list[float | None]]] = {}
    for row in result.rows:
        labels = [_label(column, row[places[column.name]]) for column in names]
        for value in values:
            parts = [*labels, value.name] if len(values) > 1 or not labels else labels
            xs, ys = found.setdefault(": ".join(parts), ([], []))
            at, numbers = row[places[x.name]], row[places[value.name]]
            if value.type is KqlType.DYNAMIC:
                heights = json.loads(numbers) if numbers is not None else []
                axis = json.loads(at) if x.type is KqlType.DYNAMIC and at is not None else list(range(len(heights)))
                pairs = list(zip(axis, heights, strict=False))
            else:
                pairs = [(at, numbers)]
            for place, height in pairs:
                xs.append(_place(x, place, categories=categories))
                ys.append(_number(height))
    ordered = sorted(found) if names else found
    return tuple(Series(name, tuple(found[name][0]), tuple(found[name][1])) for name in ordered)


def _place(column: Column, value: Any, *, categories: bool) -> Any:
    if column.type is KqlType.DYNAMIC and isinstance(value, str):
        value = _time(value)
        return datetime_text(value, trim=True) if categories and value is not None else value
    if categories:
        return _label(column, value)
    return value if value is None or column.type is KqlType.DATETIME else float(value)


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _label(column: Column, value: Any) -> str:
    encoded = json_value(column.type, value)
    if isinstance(encoded, bool):
        return "true" if encoded else "false"
    return "" if encoded is None else str(encoded)


# In the terminal


def terminal_chart(result: Result, columns: int, lines: int = 20) -> str | None:
    """The chart as lines of text, None where a table is asked for; raises UnknownChart."""
    chart = chart_of(result)
    if chart is None:
        return None
    if chart.kind == "card":
        body = draw_card(chart.cells, columns)
    elif chart.kind in _BARS:
        body = draw_bars([(one.name, one.x, one.y) for one in chart.series], columns, share=chart.kind == "piechart")
    else:
        points = [(one.name, one.x, one.y) for one in chart.series]
        label = _moment if chart.times else _short
        body = draw_points(
            points, columns, lines, label, joined=chart.kind != "scatterchart", filled=chart.kind == "areachart"
        )
    title = f"{inert(chart.title)}\n" if chart.title else ""
    return title + body


def _moment(value: float) -> str:
    return datetime_text(int(value) // _TICKS_PER_SECOND * _TICKS_PER_SECOND, trim=True)


def _short(value: float) -> str:
    return f"{value:g}"


# As a file


def save_chart(result: Result, path: Path) -> bool:
    """Writes the chart as PNG or SVG, by the path's suffix; false where the query asks for none. Raises UnknownChart.

    ModuleNotFoundError where matplotlib is not installed.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise UnknownChart(f"{path}: a chart is written as .png or .svg")
    chart = chart_of(result)
    if chart is None:
        return False
    import matplotlib as mpl  # noqa: PLC0415 - the extra `charts`
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    with mpl.rc_context({"text.parse_math": False, "svg.hashsalt": "lurewire", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 5.5), layout="constrained")
        axes = figure.add_subplot()
        _DRAWN[chart.kind](axes, chart)
        if chart.title:
            axes.set_title(inert(chart.title))
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, metadata=metadata, dpi=120)
    return True


def _draw_points(axes: Any, chart: Chart) -> None:
    for one in chart.series:
        pairs = sorted(((x, y) for x, y in zip(one.x, one.y, strict=True) if x is not None), key=lambda pair: pair[0])
        xs = [datetime_from_ticks(x) if chart.times else x for x, _ in pairs]
        ys = [math.nan if y is None else y for _, y in pairs]
        label = inert(one.name)
        if chart.kind == "scatterchart":
            axes.scatter(xs, ys, label=label, s=14)
        else:
            axes.plot(xs, ys, label=label)
            if chart.kind == "areachart":
                axes.fill_between(xs, ys, alpha=0.4)
    if chart.times:
        axes.figure.autofmt_xdate()
    _titles(axes, chart, chart.x_title, chart.y_title)


def _draw_bars(axes: Any, chart: Chart) -> None:
    labels = list(dict.fromkeys(x for one in chart.series for x in one.x))
    size = 0.8 / max(len(chart.series), 1)
    for number, one in enumerate(chart.series):
        heights = dict(zip(one.x, one.y, strict=True))
        at = [place + size * (number - (len(chart.series) - 1) / 2) for place in range(len(labels))]
        values = [heights.get(label) or 0.0 for label in labels]
        draw = axes.barh if chart.kind == "barchart" else axes.bar
        draw(at, values, size, label=inert(one.name))
    shown = [inert(label) for label in labels]
    if chart.kind == "barchart":
        axes.set_yticks(range(len(labels)), shown)
        axes.invert_yaxis()
        _titles(axes, chart, chart.y_title, chart.x_title)
    else:
        turned = sum(map(len, shown)) > 80
        axes.set_xticks(range(len(labels)), shown, rotation=45 if turned else 0, ha="right" if turned else "center")
        _titles(axes, chart, chart.x_title, chart.y_title)


def _draw_pie(axes: Any, chart: Chart) -> None:
    slices = [(x, y) for one in chart.series for x, y in zip(one.x, one.y, strict=True) if y is not None and y > 0]
    axes.pie([y for _, y in slices], labels=[inert(x) for x, _ in slices], autopct="%1.1f%%")


def _draw_card(axes: Any, chart: Chart) -> None:
    axes.set_axis_off()
    for number, (name, value) in enumerate(chart.cells):
        at = (number + 0.5) / len(chart.cells)
        axes.text(at, 0.55, inert(value), ha="center", va="center", fontsize=28, transform=axes.transAxes)
        axes.text(at, 0.35, inert(name), ha="center", va="center", transform=axes.transAxes)


def _titles(axes: Any, chart: Chart, x: str, y: str) -> None:
    axes.set_xlabel(inert(x))
    axes.set_ylabel(inert(y))
    if len(chart.series) > 1:
        axes.legend()


_DRAWN: dict[str, Callable[[Any, Chart], None]] = {
    "card": _draw_card,
    "piechart": _draw_pie,
    "barchart": _draw_bars,
    "columnchart": _draw_bars,
    **dict.fromkeys(sorted(_POINTS), _draw_points),
}
