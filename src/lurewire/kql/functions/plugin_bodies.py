"""What plug-ins of evaluate compute in Python, over rows that SQL has gathered into one array.

No query can write the names of these functions; the plug-ins' templates call them (`operators/plugin_templates.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lurewire.kql.limits import LIST_ELEMENTS
from lurewire.kql.types import KqlType

from .common import scripted
from .digests import members_of
from .registry import dynamic, flag, whole

if TYPE_CHECKING:
    from .registry import Function, Param

Json = Any
_DYNAMIC = KqlType.DYNAMIC
#: Sample users that funnel_sequence gives.
_SAMPLES = 128


def refuse_many(plugin: str, count: int) -> None:
    """Raises ValueError where there is more than one array holds: what is beyond would be lost unsaid."""
    if count >= LIST_ELEMENTS.value:
        raise ValueError(f"{plugin}(): more than {LIST_ELEMENTS.value - 1} rows to compare")


def internal(name: str, body: Any, params: tuple[Param, ...]) -> Function:
    """A function under a name that no query can write; templates write it with `_` in front."""
    return replace(scripted(f"plugin_{name}", body, params, _DYNAMIC), name="\0" + name)


def _active_times(times: list[int], window: int, period: int, least: int) -> Json:
    """The times at which a user had been there in `least` periods of the window that ends then, its start excluded."""
    refuse_many("active_users_count", len(times))
    ordered = sorted(set(times))
    periods = [time // period for time in ordered]
    held: Counter[int] = Counter()
    active, first = [], 0
    for place, time in enumerate(ordered):
        held[periods[place]] += 1
        while ordered[first] <= time - window:
            held[periods[first]] -= 1
            if not held[periods[first]]:
                del held[periods[first]]
            first += 1
        if len(held) >= least:
            active.append(time)
    return active


def _cohorts(cells: list[list[int]], last: int) -> Json:
    """Rows of new_activity_metrics: first period, period, new users, retained users, those of the cohort lost.

    A cell says how many users came first in a period and were there in another. A user who came after a cohort, and is
    there in a period, is new to that cohort.
    """
    refuse_many("new_activity_metrics", len(cells))
    kept: dict[int, dict[int, int]] = defaultdict(dict)
    present: Counter[int] = Counter()
    for first, slot, count in cells:
        kept[first][slot] = count
        present[slot] += count
    refuse_many("new_activity_metrics", len(kept) * (last + 1))
    rows: list[list[int]] = []
    for first in sorted(kept):
        size = kept[first][first]
        rows.append([first, first, size, size, 0])
        for slot in range(first + 1, last + 1):
            retained = kept[first].get(slot, 0)
            # Of those who are there, who came in this cohort or before is taken away.
            present[slot] -= retained
            rows.append([first, slot, present[slot], retained, size - retained])
    return rows


def _sequences(events: list[list[int]], steps: int, gap: int, span: int) -> Json:
    """Times of the steps of each occurrence of a sequence: an event (a time and a mask of steps) for each, in order.

    Each step is later than the one before, by `gap` at most, and the last by `span` at most than the first.
    """
    refuse_many("sequence_detect", len(events))
    times: list[list[int]] = [sorted({time for time, mask in events if mask >> step & 1}) for step in range(steps)]
    found = [[time] for time in times[0]]
    for step in range(1, steps):
        longer: list[list[int]] = []
        for begun in found:
            low, high = (
                bisect_right(times[step], begun[-1]),
                bisect_right(times[step], min(begun[-1] + gap, begun[0] + span)),
            )
            longer.extend([*begun, time] for time in times[step][low:high])
            refuse_many("sequence_detect", len(longer) * steps)
        found = longer
    return found


def _funnel(events: list[list[Json]], sequence: list[Json], periods: list[int]) -> Json:
    """For each of the periods, how many steps of the sequence a user's events complete within it."""
    refuse_many("funnel_sequence_completion", len(events))
    times: dict[str, list[int]] = {state: [] for state in map(str, sequence)}
    for time, state in events:
        if state in times:
            times[state].append(time)
    for found in times.values():
        found.sort()
    return [_completed([times[str(state)] for state in sequence], period) for period in periods]


def _completed(times: list[list[int]], period: int) -> int:
    """The most steps that follow each other, each later than the one before, within a period from the first."""
    most = 0
    for start in times[0]:
        at, reached = start, 1
        for later in times[1:]:
            place = bisect_right(later, at)
            if place == len(later) or later[place] - start > period:
                break
            at, reached = later[place], reached + 1
        most = max(most, reached)
        if most == len(times):
            break
    return most


def _neighbours(events: list[list[Json]], sequence: list[Json], gap: int) -> Json:
    """The states before and after each run of a user's events through the sequence: `[before, after]`, each pair once.

    Repeats of a state count as one step, which lasts from its first to its last event. Steps are next to each other
    and not further apart than `gap`; so are the states around them, which else are empty.
    """
    refuse_many("funnel_sequence", len(events))
    steps: list[list[Json]] = []
    for time, state in sorted(events, key=lambda event: (event[0], event[1])):
        if steps and steps[-1][0] == state:
            steps[-1][2] = time
        else:
            steps.append([state, time, time])
    wanted = [str(state) for state in sequence]
    near = [later[1] - earlier[2] <= gap for earlier, later in pairwise(steps)]
    found: dict[tuple[str, str], None] = {}
    size = len(wanted)
    for place in range(len(steps) - size + 1):
        if [step[0] for step in steps[place : place + size]] != wanted or not all(near[place : place + size - 1]):
            continue
        before = steps[place - 1][0] if place and near[place - 1] else ""
        end = place + size
        after = steps[end][0] if end < len(steps) and near[end - 1] else ""
        found[before, after] = None
    return [list(pair) for pair in found]


def _samples(users: list[Json]) -> Json:
    return sorted(users, key=lambda user: (isinstance(user, str), user))[:_SAMPLES]


def _intersections(sketches: list[Json]) -> Json:
    """How many members the first sketch has, the first two share, the first three share, ..."""
    shared: set[str] | None = None
    sizes = []
    for sketch in sketches:
        own = set(members_of(sketch))
        shared = own if shared is None else shared & own
        sizes.append(len(shared))
    return sizes


#: Types that both fit into.
_WIDER = {frozenset({"int", "long"}): "long", frozenset({"int", "real"}): "real", frozenset({"long", "real"}): "real"}
_OUT_OF_ORDER = "ERROR(columns are out of order)"


def _schemas(rows: list[list[Json]], keep: bool) -> Json:
    """Rows of schema_merge: name, ordinal, .NET type, type.

    A column that is in several schemas must have the ordinal of the first, if the order is to be kept. Without that, a
    column goes as far back as any schema has it. Types that have no common one make an error of the column.
    """
    refuse_many("schema_merge", len(rows))
    ordinals: dict[str, int] = {}
    kinds: dict[str, str] = {}
    shown: dict[str, str] = {}
    for _, name, ordinal, data_type, kind in sorted(rows, key=lambda row: row[0]):
        shown[kind] = data_type
        if name not in kinds:
            ordinals[name], kinds[name] = ordinal, kind
            continue
        if keep and ordinals[name] != ordinal:
            kinds[name] = _OUT_OF_ORDER
        elif kinds[name] != kind and not kinds[name].startswith("ERROR"):
            kinds[name] = _WIDER.get(
                frozenset({kinds[name], kind}), f"ERROR(can't reduce types {kinds[name]} and {kind})"
            )
        if not keep:
            ordinals[name] = max(ordinals[name], ordinal)
    good = sorted((name for name in kinds if not kinds[name].startswith("ERROR")), key=ordinals.__getitem__)
    bad = [name for name in kinds if kinds[name].startswith("ERROR")]
    return [
        *([name, place, shown[kinds[name]], kinds[name]] for place, name in enumerate(good)),
        *([name, -1, f"ERROR(unknown CSL type:{kinds[name]})", kinds[name]] for name in bad),
    ]


_LIST = dynamic("rows")

FUNCTIONS = (
    internal("active_times", _active_times, (_LIST, whole("window"), whole("period"), whole("least"))),
    internal("cohorts", _cohorts, (_LIST, whole("last"))),
    internal("sequences", _sequences, (_LIST, whole("steps"), whole("gap"), whole("span"))),
    internal("funnel", _funnel, (_LIST, dynamic("sequence"), dynamic("periods"))),
    internal("neighbours", _neighbours, (_LIST, dynamic("sequence"), whole("gap"))),
    internal("samples", _samples, (_LIST,)),
    internal("schemas", _schemas, (_LIST, flag("keep"))),
    internal("intersections", _intersections, (_LIST,)),
)
