"""Random pipelines over random tables: each operator with the columns that are there where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from lurewire.kql.types import KqlType as K

from .strategies import COLUMNS, POSITIVE, SPANS, expressions, form, names_of, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

Columns = dict[str, K]
Step = tuple[str, Columns]

#: Types that a group, a sort or a join goes by.
_KEYS = [K.BOOL, K.INT, K.LONG, K.STRING, K.DATETIME, K.TIMESPAN, K.GUID]
_NUMBERS = [K.INT, K.LONG, K.REAL]
_NAMES = ["n1", "N1", "n2", "l", "s", "new col", "x-y"]


def _shown(name: str) -> str:
    return name if name.isidentifier() else f"[{quoted(name)}]"


def _of(columns: Columns, kinds: list[K]) -> list[str]:
    return [name for name, kind in columns.items() if kind in kinds]


@st.composite
def _where(draw: st.DrawFn, columns: Columns) -> Step:
    return f"where {draw(expressions(columns, K.BOOL, 1))}", columns


@st.composite
def _extend(draw: st.DrawFn, columns: Columns) -> Step:
    kind = draw(st.sampled_from(list(K)))
    name = draw(st.sampled_from(_NAMES))
    return f"extend {_shown(name)} = {draw(expressions(columns, kind, 1))}", {**columns, name: kind}


@st.composite
def _project(draw: st.DrawFn, columns: Columns) -> Step:
    kept = draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, max_size=6, unique=True))
    operator = draw(st.sampled_from(["project", "project-keep", "project-away", "project-reorder"]))
    text = f"{operator} {', '.join(map(_shown, kept))}"
    if operator == "project":
        return text, {name: columns[name] for name in kept}
    if operator == "project-keep":
        return text, {name: kind for name, kind in columns.items() if name in kept}
    if operator == "project-away":
        rest = {name: kind for name, kind in columns.items() if name not in kept}
        return (text, rest) if rest else ("take 3", columns)
    return text, {**{name: columns[name] for name in kept}, **columns}


@st.composite
def _rename(draw: st.DrawFn, columns: Columns) -> Step:
    old = draw(st.sampled_from(sorted(columns)))
    if "renamed" in columns:
        return "count", {"Count": K.LONG}
    made = {"renamed" if name == old else name: kind for name, kind in columns.items()}
    return f"project-rename renamed = {_shown(old)}", made


@st.composite
def _sort(draw: st.DrawFn, columns: Columns) -> Step:
    held = _of(columns, [*_KEYS, K.REAL])
    if not held:
        return "take 4", columns
    keys = draw(st.lists(st.sampled_from(held), min_size=1, max_size=3, unique=True))
    ends = st.sampled_from(["", " asc", " desc", " asc nulls last", " desc nulls first"])
    ordered = [_shown(key) + draw(ends) for key in keys]
    choices = [f"sort by {', '.join(ordered)}", f"top {draw(POSITIVE)} by {ordered[0]}"]
    return draw(st.sampled_from(choices)), columns


def _aggregates(columns: Columns) -> list[tuple[st.SearchStrategy[str], K]]:
    found: list[tuple[st.SearchStrategy[str], K]] = [(st.just("count()"), K.LONG)]
    predicate = expressions(columns, K.BOOL, 1)
    found.append((form("countif({b})", b=predicate), K.LONG))
    numbers, ordered, keys = (_of(columns, kinds) for kinds in (_NUMBERS, [*_NUMBERS, K.DATETIME, K.TIMESPAN], _KEYS))
    if numbers:
        reals = names_of(columns, K.REAL)
        wholes = [name for name in numbers if name not in reals]
        if wholes:
            name = st.sampled_from(wholes).map(_shown)
            found += [(form("sum({x})", x=name), K.LONG), (form("sumif({x}, {b})", x=name, b=predicate), K.LONG)]
            found += [(form("{f}({x})", f=st.sampled_from(["binary_all_or", "binary_all_and"]), x=name), K.LONG)]
        name = st.sampled_from(numbers).map(_shown)
        found += [(form("{f}({x})", f=st.sampled_from(["avg", "stdev", "variance", "variancep"]), x=name), K.REAL)]
    for kind in (K.LONG, K.REAL, K.DATETIME, K.TIMESPAN, K.STRING):
        held = names_of(columns, kind)
        if held:
            name = st.sampled_from(held).map(_shown)
            found += [(form("{f}({x})", f=st.sampled_from(["min", "max"]), x=name), kind)]
            found += [(form("maxif({x}, {b})", x=name, b=predicate), kind)]
    if ordered:
        whole = [name for name in ordered if columns[name] is not K.INT]
        if whole:
            first = min(whole)
            found += [(form("percentile({x}, {n})", x=st.just(_shown(first)), n=POSITIVE), columns[first])]
    if keys:
        name = st.sampled_from(keys).map(_shown)
        found += [(form("{f}({x})", f=st.sampled_from(["dcount", "count_distinct"]), x=name), K.LONG)]
        found += [(form("dcountif({x}, {b})", x=name, b=predicate), K.LONG)]
        found += [
            (form("{f}({x})", f=st.sampled_from(["make_set", "make_list", "make_list_with_nulls"]), x=name), K.DYNAMIC)
        ]
    if names_of(columns, K.DYNAMIC):
        name = st.sampled_from(names_of(columns, K.DYNAMIC)).map(_shown)
        found += [(form("{f}({x})", f=st.sampled_from(["make_bag", "make_set", "make_list"]), x=name), K.DYNAMIC)]
    return found


@st.composite
def _summarize(draw: st.DrawFn, columns: Columns) -> Step:
    keys = _of(columns, _KEYS)
    by: list[str] = draw(st.lists(st.sampled_from(keys), max_size=2, unique=True)) if keys else []
    made: Columns = {name: columns[name] for name in by}
    parts = []
    for number in range(draw(st.integers(1, 3))):
        text, kind = draw(st.sampled_from(_aggregates(columns)))
        parts.append(f"a{number} = {draw(text)}")
        made[f"a{number}"] = kind
    groups = [_shown(name) for name in by]
    if names_of(columns, K.DATETIME) and draw(st.sampled_from([True, False])):
        time = names_of(columns, K.DATETIME)[0]
        groups.append(f"slot = bin({_shown(time)}, {draw(SPANS)})")
        made = {**{name: columns[name] for name in by}, "slot": K.DATETIME, **made}
    return f"summarize {', '.join(parts)}" + (f" by {', '.join(groups)}" if groups else ""), made


@st.composite
def _extreme(draw: st.DrawFn, columns: Columns) -> Step:
    keys, ordered = _of(columns, _KEYS), _of(columns, [*_NUMBERS, K.DATETIME, K.STRING])
    if not keys or not ordered:
        return "count", {"Count": K.LONG}
    key, value = draw(st.sampled_from(keys)), draw(st.sampled_from(ordered))
    if key == value:
        return "count", {"Count": K.LONG}
    made = {key: columns[key], value: columns[value], **{name: kind for name, kind in columns.items() if name != key}}
    return f"summarize {draw(st.sampled_from(['arg_max', 'arg_min']))}({_shown(value)}, *) by {_shown(key)}", made


@st.composite
def _distinct(draw: st.DrawFn, columns: Columns) -> Step:
    keys = _of(columns, _KEYS)
    if not keys:
        return "distinct *", columns
    kept = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3, unique=True))
    return f"distinct {', '.join(map(_shown, kept))}", {name: columns[name] for name in kept}


def _free(taken: Columns, name: str) -> str:
    return name if name not in taken else next(f"{name}{n}" for n in range(1, 99) if f"{name}{n}" not in taken)


@st.composite
def _join(draw: st.DrawFn, columns: Columns) -> Step:
    both = [name for name, kind in columns.items() if kind in _KEYS and COLUMNS.get(name) is kind]
    if not both:
        return "take 5", columns
    keys = draw(st.lists(st.sampled_from(both), min_size=1, max_size=2, unique=True))
    kind = draw(
        st.sampled_from(
            [
                "innerunique",
                "inner",
                "leftouter",
                "rightouter",
                "fullouter",
                "leftsemi",
                "leftanti",
                "rightsemi",
                "rightanti",
            ]
        )
    )
    shown = ", ".join(f"$left.{name} == $right.{name}" if draw(st.booleans()) else name for name in keys)
    right = draw(st.sampled_from(["U", "(U | where l >= 0)", "(U | project-away d, D)"]))
    held = {name: k for name, k in COLUMNS.items() if "away" not in right or name not in ("d", "D")}
    if kind in ("leftsemi", "leftanti"):
        return f"join kind={kind} {right} on {shown}", columns
    if kind in ("rightsemi", "rightanti"):
        return f"join kind={kind} {right} on {shown}", held
    word = "join"
    if kind in ("inner", "leftouter") and draw(st.booleans()):
        word, held = "lookup", {name: k for name, k in held.items() if name not in keys}
    made = dict(columns)
    for name, k in held.items():
        made[_free(made, name)] = k
    return f"{word} kind={kind} {right} on {shown}", made


@st.composite
def _union(draw: st.DrawFn, columns: Columns) -> Step:
    if any(COLUMNS.get(name, kind) is not kind for name, kind in columns.items()):
        return "take 6", columns
    return draw(st.sampled_from(["union U", "union isfuzzy=true (U | where b)"])), {**columns, **COLUMNS}


@st.composite
def _expand(draw: st.DrawFn, columns: Columns) -> Step:
    held = names_of(columns, K.DYNAMIC)
    if not held:
        return "where true", columns
    name = draw(st.sampled_from(held))
    index = draw(st.sampled_from(["", "with_itemindex=place ", "kind=array "]))
    made = {**columns, "place": K.LONG} if "place" in index else columns
    return f"mv-expand {index}{_shown(name)}", made


@st.composite
def _serialize(draw: st.DrawFn, columns: Columns) -> Step:
    held = _of(columns, [K.LONG, K.STRING, K.DATETIME])
    if not held:
        return "count", {"Count": K.LONG}
    name = draw(st.sampled_from(held))
    keys = ", ".join(f"{_shown(key)} asc" for key in _of(columns, [*_KEYS, K.REAL]))
    made = {**columns, "row": K.LONG, "before": columns[name]}
    return f"sort by {keys} | extend row = row_number(), before = prev({_shown(name)})", made


_STEPS: list[Callable[[Columns], st.SearchStrategy[Step]]] = [
    _where, _extend, _extend, _project, _rename, _sort, _summarize, _extreme, _distinct, _join, _union, _expand, _serialize,
]  # fmt: skip


@st.composite
def pipelines(draw: st.DrawFn, most: int = 5) -> str:
    """A pipeline over the tables T and U, which have the columns of `COLUMNS`."""
    columns: Columns = dict(COLUMNS)
    text = "T"
    for _ in range(draw(st.integers(1, most))):
        step, columns = draw(draw(st.sampled_from(_STEPS))(columns))
        text += f" | {step}"
    return text
