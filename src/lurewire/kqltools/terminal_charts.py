"""Charts made of characters: bars lie, one a line; lines and points stand in a grid of cells, a mark for each series."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from .terminal import cut, inert, padded, width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉"
_MARKS = "●▲■◆+x*o"
_SHADE = "░"
_LABEL_SHARE = 3  # a label takes a third of the line at most

Points = tuple[str, "Sequence[float | None]", "Sequence[float | None]"]
Bars = tuple[str, "Sequence[str]", "Sequence[float | None]"]


def draw_card(cells: Sequence[tuple[str, str]], columns: int) -> str:
    """Each name and value of the first row, one a line."""
    size = min(max((width(inert(name)) for name, _ in cells), default=0), columns // 2)
    return "".join(f"{padded(cut(inert(name), size), size)}  {cut(inert(value), columns)}\n" for name, value in cells)


def draw_bars(series: Sequence[Bars], columns: int, *, share: bool = False) -> str:
    """A bar for each value; with `share`, its part of the sum beside it."""
    rows: list[tuple[str, float]] = []
    for label in dict.fromkeys(label for _, labels, _ in series for label in labels):
        for name, labels, values in series:
            found = [v for at, v in zip(labels, values, strict=True) if at == label and v is not None]
            rows += [(f"{label} · {name}" if len(series) > 1 else label, value) for value in found]
    if not rows:
        return "(no values)\n"
    total = sum(value for _, value in rows)
    texts = [f"{value:g}" + (f" ({value / total:.1%})" if share and total else "") for _, value in rows]
    labels = [inert(label) for label, _ in rows]
    size = min(max(map(width, labels)), columns // _LABEL_SHARE)
    room = max(columns - size - 3 - max(map(len, texts)), 1)
    most = max((abs(value) for _, value in rows), default=0) or 1
    lines = []
    for label, (_, value), text in zip(labels, rows, texts, strict=True):
        whole, part = divmod(round(abs(value) / most * room * 8), 8)
        bar = "█" * whole + (_EIGHTHS[part] if part else "")
        lines.append(f"{padded(cut(label, size), size)} │{bar} {text}")
    return "\n".join(lines) + "\n"


def draw_points(
    series: Sequence[Points], columns: int, lines: int, label: Callable[[float], str], *, joined: bool, filled: bool
) -> str:
    """The points of each series in a grid, `joined` by lines; `label` writes the ends of the axis."""
    plotted = [(name, _known(xs, ys)) for name, xs, ys in series]
    every = [point for _, points in plotted for point in points]
    if not every:
        return "(no values)\n"
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(0.0, *(y for _, y in every)), max(0.0, *(y for _, y in every))
    high = high if high > low else low + 1
    names = [f"{high:g}", f"{(low + high) / 2:g}", f"{low:g}"]
    margin = max(map(len, names))
    wide, tall = max(columns - margin - 2, 2), max(lines, 3)
    grid = [[" "] * wide for _ in range(tall)]

    def cell(x: float, y: float) -> tuple[int, int]:
        across = 0 if right == left else round((x - left) / (right - left) * (wide - 1))
        return across, tall - 1 - round((y - low) / (high - low) * (tall - 1))

    base = cell(left, 0.0)[1]
    for number, (_, points) in enumerate(plotted):
        cells = [cell(x, y) for x, y in points]
        mark = _MARKS[number % len(_MARKS)]
        for across, down in _lines(cells) if joined else cells:
            if filled:
                for row in range(min(down, base), max(down, base) + 1):
                    grid[row][across] = _SHADE if grid[row][across] == " " else grid[row][across]
            grid[down][across] = mark
    shown = {0: names[0], tall // 2: names[1], tall - 1: names[2]}
    rows = [f"{shown.get(number, ''):>{margin}} ┤{''.join(row)}".rstrip() for number, row in enumerate(grid)]
    first, last = label(left), label(right)
    rows.append(f"{' ' * margin} └{'─' * wide}")
    rows.append(f"{' ' * (margin + 2)}{first}{last.rjust(max(wide - len(first), len(last) + 1))}")
    if len(plotted) > 1:
        rows += [
            f"{_MARKS[number % len(_MARKS)]} {cut(inert(name), columns - 2)}"
            for number, (name, _) in enumerate(plotted)
        ]
    return "\n".join(rows) + "\n"


def _known(xs: Sequence[float | None], ys: Sequence[float | None]) -> list[tuple[float, float]]:
    return sorted((x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None)


def _lines(cells: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The cells on straight lines from each to the next."""
    found = list(cells[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(cells):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        found += [
            (math.floor(x0 + (x1 - x0) * step / steps + 0.5), math.floor(y0 + (y1 - y0) * step / steps + 0.5))
            for step in range(1, steps + 1)
        ]
    return found
