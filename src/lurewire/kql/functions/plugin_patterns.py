"""Patterns of values that rows share: what autocluster, basket and diffpatterns compute.

Rows come as their weights and, for each column, the JSON text of an array with the value, or an empty text where the
value is not frequent enough to be in any pattern. A pattern is closed: a value that all its rows share belongs to it.
Microsoft's printed answers are closed too, and are ordered by rows times values.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .plugin_bodies import internal, refuse_many
from .registry import dynamic, real, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

Json = Any
#: Values that the search for patterns looks at, at most (some seconds of work), and what a step of it costs beside them.
_LOOKED_AT = 2_000_000_000
_STEP = 20_000
#: Rows that the patterns found last cover together, at most: their places are kept.
_HELD = 20_000_000
#: The part of the rows that a pattern of autocluster covers at least, of those that none before it covers.
_CLUSTER = 0.05

#: The code of the value in each column, -1 for none.
Items = tuple[int, ...]


class _Patterns:
    """Closed patterns of rows, each found from as few values as lead to it."""

    def __init__(self, plugin: str, rows: list[list[Json]], kinds: int) -> None:
        refuse_many(plugin, len(rows))
        self._plugin = plugin
        self.weights: NDArray[np.float64] = np.array([row[:kinds] for row in rows], dtype=np.float64).T.reshape(
            kinds, -1
        )
        self.totals = self.weights.sum(axis=1)
        self._texts: list[list[str]] = []
        width = len(rows[0]) - kinds if rows else 0
        self._codes = np.full((width, len(rows)), -1, dtype=np.int64)
        for column in range(width):
            known: dict[str, int] = {}
            for place, row in enumerate(rows):
                text = row[kinds + column]
                if text:
                    self._codes[column, place] = known.setdefault(text, len(known))
            self._texts.append(list(known))
        self._looked_at = self._held = 0

    def covered(self, items: Items) -> NDArray[np.bool_]:
        """Which rows a pattern covers."""
        mask = np.ones(self._codes.shape[1], dtype=np.bool_)
        for column, code in enumerate(items):
            if code >= 0:
                mask &= self._codes[column] == code
        return mask

    def values(self, items: Items) -> Json:
        """The value of each column in an array, null where there is none."""
        return [None if code < 0 else json.loads(self._texts[column][code]) for column, code in enumerate(items)]

    def closed(self, threshold: float, most: int) -> dict[Items, NDArray[np.float64]]:
        """The patterns whose part of one of the weights is the threshold or more, with their weights.

        None needs more than `most` values to tell its rows from the others.
        """
        needed = threshold * self.totals * (1 - 1e-12)
        everything = (-1,) * len(self._codes)
        found: dict[Items, NDArray[np.float64]] = {}
        level = {everything: np.arange(self._codes.shape[1], dtype=np.int32)}
        for _ in range(min(most, len(self._codes))):
            following: dict[Items, NDArray[np.int32]] = {}
            self._held = 0
            for items, places in level.items():
                for column in range(len(items)):
                    if items[column] < 0:
                        self._extend(items, places, column, needed, found, following)
            if not following:
                break
            level = following
        return found

    def _extend(
        self,
        items: Items,
        places: NDArray[np.int32],
        column: int,
        needed: NDArray[np.float64],
        found: dict[Items, NDArray[np.float64]],
        following: dict[Items, NDArray[np.int32]],
    ) -> None:
        """Adds the closed patterns that one more value in a column leads to."""
        self._count(places.size + _STEP)
        codes = self._codes[column, places]
        size = len(self._texts[column])
        sums = [np.bincount(codes[codes >= 0], weight[places][codes >= 0], minlength=size) for weight in self.weights]
        frequent = np.any([part >= least for part, least in zip(sums, needed, strict=True) if least > 0], axis=0)
        for code in np.flatnonzero(frequent):
            inside = places[codes == code]
            self._count((inside.size + _STEP // 4) * len(items))
            closed = tuple(
                int(own[0]) if (own := self._codes[other, inside])[0] >= 0 and (own == own[0]).all() else -1
                for other in range(len(items))
            )
            if closed not in found:
                found[closed] = np.array([part[code] for part in sums])
                following[closed] = inside
                self._held += inside.size

    def keep(self, patterns: int) -> None:
        """Raises ValueError where so many patterns are too many to keep which rows each covers."""
        self._held = patterns * self._codes.shape[1] // 4
        self._count(0)

    def _count(self, values: int) -> None:
        self._looked_at += values
        if self._looked_at > _LOOKED_AT or self._held > _HELD:
            raise ValueError(f"{self._plugin}(): too many patterns; give it fewer columns or a higher threshold")


def _size(items: Items) -> int:
    return sum(code >= 0 for code in items)


def _basket(rows: list[list[Json]], threshold: float, most: int) -> Json:
    """Rows of basket: count, percentage, values."""
    patterns = _Patterns("basket", rows, 1)
    found = [(items, float(weights[0])) for items, weights in patterns.closed(threshold, most).items()]
    return _ranked(patterns, found)


def _ranked(patterns: _Patterns, found: list[tuple[Items, float]]) -> Json:
    """By rows times values, then by rows, then by the values themselves."""
    shown = [
        (-count * _size(items), -count, json.dumps(patterns.values(items)), items, count) for items, count in found
    ]
    return [
        [count, 100 * count / float(patterns.totals[0]), patterns.values(items)]
        for _, _, _, items, count in sorted(shown)
    ]


def _clusters(rows: list[list[Json]], size_weight: float) -> Json:
    """Rows of autocluster: count, percentage, values.

    Patterns are taken one after the other, each the best for the rows that none before it covers: the geometric mean
    of its part of the rows, weighted with `size_weight`, and of the information in its values (how many bits it takes
    to say each of them, among all rows), weighted with the rest.
    """
    patterns = _Patterns("autocluster", rows, 1)
    weights, total = patterns.weights[0], float(patterns.totals[0])
    found = patterns.closed(_CLUSTER, len(rows[0]) if rows else 0)
    patterns.keep(len(found))
    covered = {items: patterns.covered(items) for items in found}
    information = {items: _information(patterns, items, weights, total) for items in found}
    left = np.ones(weights.size, dtype=np.bool_)
    chosen: list[tuple[Items, float]] = []
    while covered:
        best, best_score = None, 0.0
        for items, mask in list(covered.items()):
            part = float(weights[mask & left].sum()) / total
            if part < _CLUSTER:
                del covered[items]
                continue
            score = part**size_weight * information[items] ** (1 - size_weight)
            if score > best_score:
                best, best_score = items, score
        if best is None:
            break
        chosen.append((best, float(found[best][0])))
        left &= ~covered.pop(best)
    return _ranked(patterns, chosen)


def _information(patterns: _Patterns, items: Items, weights: NDArray[np.float64], total: float) -> float:
    bits = 0.0
    for column, code in enumerate(items):
        if code >= 0:
            one = tuple(code if other == column else -1 for other in range(len(items)))
            bits -= math.log2(float(weights[patterns.covered(one)].sum()) / total)
    return bits


def _differences(rows: list[list[Json]], threshold: float, most: int) -> Json:
    """Rows of diffpatterns: both counts, both percentages, their difference, values.

    The greatest differences come first; a pattern that only narrows or widens one before it is left out.
    """
    patterns = _Patterns("diffpatterns", rows, 2)
    if not rows or not patterns.totals.all():
        return []
    ranked: list[tuple[float, float, str, Items, NDArray[np.float64]]] = []
    for items, weights in patterns.closed(threshold, most or len(rows[0])).items():
        parts = 100 * weights / patterns.totals
        difference = abs(float(parts[0] - parts[1]))
        if difference >= 100 * threshold:
            ranked.append((-difference, -float(weights.sum()), json.dumps(patterns.values(items)), items, weights))
    chosen: list[set[tuple[int, int]]] = []
    result: list[Json] = []
    for difference, _, _, items, weights in sorted(ranked, key=lambda one: one[:3]):
        own = {(column, code) for column, code in enumerate(items) if code >= 0}
        if any(own <= other or own >= other for other in chosen):
            continue
        chosen.append(own)
        parts = 100 * weights / patterns.totals
        result.append(
            [*weights.tolist(), *(round(part, 2) for part in (*parts.tolist(), -difference)), patterns.values(items)]
        )
    return result


_LIST = dynamic("rows")

FUNCTIONS = (
    internal("basket", _basket, (_LIST, real("threshold"), whole("dimensions"))),
    internal("clusters", _clusters, (_LIST, real("size_weight"))),
    internal("differences", _differences, (_LIST, real("threshold"), whole("dimensions"))),
)
