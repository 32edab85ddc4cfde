"""Names in scope while a query is bound: columns by name, lets, and what the query turned out to use."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import plan
from .errors import DUPLICATE, Consequence, Problem, over_limit, semantic
from .limits import EXPRESSION_NODES
from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from . import tree
    from .external import External
    from .once import Held
    from .profiles import Profile
    from .render import Rendering
    from .types import Catalog


#: What ingestion_time() reads, among the hidden columns of rows.
RECEIVED = "ingestion_time()"


@dataclass(frozen=True, slots=True)
class Rows:
    """A bound relation and its columns in order."""

    relation: plan.Relation
    columns: tuple[plan.Output, ...]
    #: The name that `as` gave, which withsource shows.
    name: str | None = None
    #: Columns that are in no result unless they are named, and the time of receipt as RECEIVED.
    hidden: tuple[plan.Output, ...] = ()

    def find(self, name: str) -> plan.Output | None:
        """The column of that exact name."""
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(slots=True)
class TabularLet:
    """A tabular let or argument with the names it was written among; every use binds it anew, for columns of its own.

    `first` is what its first binding gave, until a use takes it; `row_wise` and `deterministic` say what that found.
    """

    pipeline: tree.Pipeline
    names: Names
    first: Rows | None = None
    row_wise: bool = True
    deterministic: bool = True


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another workspace, as workspace('name') calls it."""

    name: str
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function of a let statement with the names it was written among, or a saved one with the text it was read from."""

    definition: tree.Lambda
    names: Names
    text: str | None = None

    def title(self, name: str) -> str:
        """What the function is called in messages, and told apart by from those of other workspaces."""
        return name if self.names.home is None else f"workspace('{self.names.home.name}').{name}"


@dataclass(slots=True)
class Names:
    """The names that statements have declared."""

    scalars: dict[str, plan.Scalar] = field(default_factory=dict)
    relations: dict[str, TabularLet] = field(default_factory=dict)
    functions: dict[str, UserFunction] = field(default_factory=dict)
    #: Names of lets that have a problem; using them is no further problem.
    broken: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    #: Parameters whose values read columns of the caller's row, and how deep in subqueries the caller stands.
    row_bound: dict[str, int] = field(default_factory=dict)
    patterns: dict[str, tree.PatternDeclaration] = field(default_factory=dict)
    #: What is left of the catalog after a restrict statement.
    catalog: Catalog | None = None
    #: The workspace whose saved function is bound, where it is not the query's own.
    home: Elsewhere | None = None

    def copy(self) -> Names:
        """The names as they are now."""
        return Names(
            dict(self.scalars),
            dict(self.relations),
            dict(self.functions),
            set(self.broken),
            dict(self.sizes),
            dict(self.row_bound),
            dict(self.patterns),
            self.catalog,
            self.home,
        )

    def forget(self, name: str) -> None:
        """Makes room for a new meaning of a name: the innermost one applies."""
        for known in (self.scalars, self.relations, self.functions, self.sizes, self.row_bound, self.patterns):
            known.pop(name, None)
        self.broken.discard(name)


@dataclass(slots=True)
class Context:
    """What one compilation carries along."""

    whole_catalog: Catalog
    profile: Profile
    names: Names = field(default_factory=Names)
    problems: list[Problem] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    deterministic: bool = True
    row_wise: bool = True
    rendering: Rendering | None = None
    #: Expressions bound so far, each use of a let counted with all that is in it.
    expressions: int = 0
    #: How many subqueries deep the binder stands.
    subqueries: int = 0
    #: Columns whose expressions have problems; using them is no further problem.
    erroneous: set[int] = field(default_factory=set)
    #: What materialize() stands for, by its place and the names around it.
    shared: dict[tuple[int, int], tuple[Names, Rows]] = field(default_factory=dict)
    #: The texts that are compiled: the query's, and those of the saved functions that it calls.
    texts: list[str] = field(default_factory=list)
    #: Saved functions that the query names, and the names of those that are being bound.
    saved: dict[tuple[int, str], UserFunction | None] = field(default_factory=dict)
    calling: list[str] = field(default_factory=list)
    #: Saved functions that turned out to call themselves.
    recursive: set[str] = field(default_factory=set)
    #: The other workspaces that the query names.
    elsewhere: dict[str, Elsewhere] = field(default_factory=dict)
    #: What the caller reads from outside for the query.
    external: list[External] = field(default_factory=list)
    #: What the caller makes before the results of the query, which read it several times.
    held: list[Held] = field(default_factory=list)
    #: Runs a query that must be known before this one's columns are; None where nothing can be run.
    explore: Callable[[plan.BoundQuery], list[tuple[object, ...]]] | None = None
    #: Databases by the names that alias statements give them.
    aliases: dict[str, tuple[tree.Call, ...]] = field(default_factory=dict)
    #: What set statements say.
    options: Mapping[str, tree.Expression | None] = field(default_factory=dict)
    _ids: int = 0

    @property
    def catalog(self) -> Catalog:
        """The catalog, as far as a restrict statement lets it be seen; in a function of another workspace, that one's."""
        if self.names.catalog is not None:
            return self.names.catalog
        return self.whole_catalog if self.names.home is None else self.names.home.catalog

    @property
    def scalars(self) -> dict[str, plan.Scalar]:
        """Scalar lets by name."""
        return self.names.scalars

    @property
    def relations(self) -> dict[str, TabularLet]:
        """Tabular lets by name."""
        return self.names.relations

    @property
    def broken(self) -> set[str]:
        """Names of lets that have a problem."""
        return self.names.broken

    @contextmanager
    def among(self, names: Names) -> Iterator[None]:
        """Binds among other names: those where a let was written."""
        outer, self.names = self.names, names
        try:
            yield
        finally:
            self.names = outer

    def function(self, name: str) -> UserFunction | None:
        """The function of that name: of a let statement, else a saved one."""
        found = self.names.functions.get(name)
        if found is not None:
            return found
        return self.saved_function(name, self.catalog, self.names.home)

    def saved_function(self, name: str, catalog: Catalog, home: Elsewhere | None) -> UserFunction | None:
        """The saved function of that name in a catalogue, which is `home`'s where it is another workspace's."""
        key = id(catalog), name
        if key not in self.saved:
            from .saved import load  # noqa: PLC0415 - it parses, and the parser's operators know this module

            self.saved[key] = load(name, catalog, home, self)
        return self.saved[key]

    def erroneous_id(self) -> int:
        """The number of a column whose expression has a problem."""
        number = self.new_id()
        self.erroneous.add(number)
        return number

    def new_id(self) -> int:
        """A fresh column number."""
        self._ids += 1
        return self._ids - 1

    def count(self, expressions: int, at: int) -> None:
        """Counts bound expressions against the limit: lets that double each other grow without bound otherwise."""
        self.expressions += expressions
        if self.expressions > EXPRESSION_NODES.value:
            raise over_limit(f"the query has more than {EXPRESSION_NODES.value} expressions", at)

    def report(self, problem: Problem) -> None:
        """Keeps a problem; binding goes on, so that all of a query's problems are found."""
        if isinstance(problem, Consequence):
            return
        # A function's body is bound at every call.
        if all((known.at, known.message) != (problem.at, problem.message) for known in self.problems):
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Erroneous(plan.Scalar):
    """An expression with a reported problem; everything accepts it, and nothing is lowered once there is one."""


ERROR = Erroneous(KqlType.DYNAMIC)


class Projection:
    """Result columns in the making: explicit names must be unique, automatic ones are made so with a number."""

    def __init__(self, columns: Iterable[plan.Output] = (), coming: Iterable[str] = ()) -> None:
        """Begins with `columns`; the names that are `coming` as they are stay free for them."""
        self._coming = frozenset(coming)
        self.columns: list[plan.Output] = list(columns)
        self._names = {column.name: index for index, column in enumerate(self.columns)}
        self._declared: set[str] = set()
        self._unnamed = 0

    def declare(self, name: str, number: int, kind: KqlType, at: int, *, replace: bool = False) -> None:
        """A column whose name the query says."""
        if name in self._declared or (name in self._names and not replace):
            raise semantic(f"a column named '{name}' is declared twice", at, DUPLICATE, name)
        self._declared.add(name)
        self._put(plan.Output(name, number, kind))

    def add(self, name: str, number: int, kind: KqlType, *, replace: bool = False) -> str:
        """A column with an automatic name; a number is appended if the name is taken."""
        unique, suffix = name, 0
        while (unique in self._names and not (replace and unique not in self._declared)) or (
            suffix and unique in self._coming
        ):
            suffix += 1
            unique = f"{name}{suffix}"
        self._declared.add(unique)
        self._put(plan.Output(unique, number, kind))
        return unique

    def unnamed(self, taken: Sequence[plan.Output] = ()) -> str:
        """`Column1`, `Column2`, ...: the next that is free."""
        names = {column.name for column in taken}
        while True:
            self._unnamed += 1
            name = f"Column{self._unnamed}"
            if name not in self._names and name not in names:
                return name

    def _put(self, column: plan.Output) -> None:
        if column.name in self._names:
            self.columns[self._names[column.name]] = column
        else:
            self._names[column.name] = len(self.columns)
            self.columns.append(column)
