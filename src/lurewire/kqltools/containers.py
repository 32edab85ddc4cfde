"""Files that hold queries: KQL, Markdown, YAML, JSON (rules, saved searches, data collection rules, templates), JSON lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from lurewire.kql import TYPE_NAMES, Column, KqlType
from lurewire.schemas import known_schema

from .documents import MalformedDocument, Text, read_documents
from .functions import own_functions, scalar_lets
from .rules import BadRule, Rule, read_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lurewire.kql import SavedFunction

_FENCE = re.compile(r"^([ \t>]*)(`{3,}|~{3,})[ \t]*\{?\.?([A-Za-z]*)[^\n]*$")
_FENCED = frozenset({"kql", "kusto", "csl"})
#: Keys whose text is a query, in the YAML of rules, hunting queries, parsers and saved functions.
_QUERY_KEYS = ("query", "functionQuery", "FunctionQuery", "ParserQuery", "parserQuery")
_QUERY_TYPES = re.compile(r"(?i)/(alertRules|alertRuleTemplates|savedSearches|huntingQueries)$|^savedSearches$")
_REFERENCE = re.compile(r"\[\s*(variables|parameters)\(\s*'([^']+)'\s*\)\s*\]")
_MOST_BYTES = 50_000_000
TIME = "TimeGenerated"


class Unreadable(Exception):
    """A file that cannot be read as what its name says; `line` and `column` count from 1."""

    def __init__(self, path: str, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Query:
    """A query and where it was found.

    `origin` is the file's text. The query is a `Text` of it, or begins at `at` and has its lines indented by `indents`.
    A transformation has a `stream` with `columns` (None where they are not known) and an `output` table. `problem` says why
    the query cannot be checked. `functions` are those, under each of their names, whose body the query is; `prefix`
    declares what it then names: their parameters.
    """

    text: str
    path: str
    origin: str
    name: str = ""
    at: int = 0
    indents: tuple[int, ...] = ()
    transform: bool = False
    stream: str = ""
    columns: tuple[Column, ...] | None = None
    output: str = ""
    rule: Rule | None = None
    problem: str = ""
    prefix: str = ""
    functions: tuple[SavedFunction, ...] = ()

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Line and column in the file of a place in the query; all count from 1, in characters."""
        if self.indents:
            return self.origin.count("\n", 0, self.at) + line, column + self.indents[min(line, len(self.indents)) - 1]
        index = _offset(self.text, line, column)
        at = self.text.offset(index) if isinstance(self.text, Text) else self.at + index
        return self.origin.count("\n", 0, at) + 1, at - self.origin.rfind("\n", 0, at)

    def place_of(self, text: str, index: int) -> tuple[int, int]:
        """Line and column in the file of a character of another of its texts; the query's start where it is no `Text`."""
        if not isinstance(text, Text):
            return self.place(1, 1)
        at = text.offset(index)
        return self.origin.count("\n", 0, at) + 1, at - self.origin.rfind("\n", 0, at)


def _offset(text: str, line: int, column: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = text.find("\n", at) + 1
    return min(at + column - 1, len(text))


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 with a mark, or else Windows-1252, its line ends as they are; raises Unreadable."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Unreadable(str(path), f"it is larger than {_MOST_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(str(path), error.strerror or str(error)) from None
    return decode(data, str(path))


def decode(data: bytes, path: str) -> str:
    """The text of a file's bytes, each line end one character; raises Unreadable for what is no text."""
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text.replace("\r\n", "\n")
    raise Unreadable(path, "it is no text")


def queries_in(text: str, path: str) -> list[Query]:
    """The queries of a file's text, by the suffix of its path; raises Unreadable."""
    reader = CONTAINERS.get(PurePath(path).suffix.lower())
    if reader is None:
        raise Unreadable(path, f"no such container of queries is known; these are: {', '.join(CONTAINERS)}")
    try:
        return list(reader(text, path))
    except MalformedDocument as error:
        raise Unreadable(path, str(error), error.line, error.column) from None


def _plain(text: str, path: str) -> Iterator[Query]:
    if text.strip():
        yield Query(text, path, text, PurePath(path).stem)


def _markdown(text: str, path: str) -> Iterator[Query]:
    lines = text.split("\n")
    offsets, at = [], 0
    for line in lines:
        offsets.append(at)
        at += len(line) + 1
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        number += 1
        if opening is None:
            continue
        first = number
        closing = re.compile(rf"[ \t>]*{re.escape(opening[2][0])}{{{len(opening[2])},}}[ \t]*$")
        while number < len(lines) and not closing.match(lines[number]):
            number += 1
        if opening[3].lower() in _FENCED:
            yield from _fenced(lines[first:number], opening[1], offsets[min(first, len(lines) - 1)], path, text)
        number += 1


def _fenced(lines: Sequence[str], indent: str, at: int, path: str, text: str) -> Iterator[Query]:
    indents = tuple(_indent(line, indent) for line in lines)
    inner = "\n".join(line[size:] for line, size in zip(lines, indents, strict=True))
    if inner.strip():
        yield Query(inner, path, text, f"line {text.count(chr(10), 0, at) + 1}", at, indents)


def _indent(line: str, indent: str) -> int:
    """How much of a fenced line is the fence's own indentation or quote marks."""
    if ">" in indent:
        found = re.match(r"[ \t]*>[ ]?", line)
        return found.end() if found else 0
    return min(len(indent), len(line) - len(line.lstrip(" \t")))


def _json_lines(text: str, path: str) -> Iterator[Query]:
    at = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                (document,) = read_documents(line, ".json")
            except MalformedDocument as error:
                raise MalformedDocument(str(error), number, error.column) from None
            query = document.get("query") if isinstance(document, Mapping) else None
            if not isinstance(query, Text):
                raise MalformedDocument("a line is an object with a text 'query'", number)
            placed = Text.of(str(query), text, at + query.at, query.quote)
            yield Query(placed, path, text, str(document.get("id", f"line {number}")))
        at += len(line) + 1


def _documents(text: str, path: str) -> Iterator[Query]:
    for document in read_documents(text, PurePath(path).suffix):
        yield from _Walk(text, path, document).queries(document, 0)


@dataclass(slots=True)
class _Walk:
    """Finds the queries in a document: at its top, in the resources of a template, in what those hold."""

    text: str
    path: str
    document: Any

    def queries(self, node: Any, depth: int) -> Iterator[Query]:
        if isinstance(node, list):
            for item in node:
                yield from self.queries(item, depth)
        elif isinstance(node, Mapping):
            yield from self._own(node, depth)
            for key, value in node.items():
                if isinstance(value, Mapping | list) and key != "properties":
                    yield from self.queries(value, depth + 1)
            properties = node.get("properties")
            if isinstance(properties, Mapping):
                yield from self._flows(properties)
                for value in properties.values():
                    yield from self.queries(value, depth + 1)

    def _own(self, node: Mapping[str, Any], depth: int) -> Iterator[Query]:
        kind, properties = node.get("type"), node.get("properties")
        if isinstance(properties, Mapping) and isinstance(properties.get("query"), Text):
            known = isinstance(kind, str) and _QUERY_TYPES.search(kind)
            if known or str(node.get("kind", "")).lower() in ("scheduled", "nrt") or depth == 0:
                yield self._query(properties["query"], node)
        elif "properties" not in node and (depth == 0 or str(node.get("kind", "")).lower() in ("scheduled", "nrt")):
            for key in _QUERY_KEYS:
                if isinstance(node.get(key), Text):
                    yield self._query(node[key], node)

    def _query(self, text: Text, node: Mapping[str, Any]) -> Query:
        text, problem = self._resolved(text)
        rule = None
        try:
            rule = read_rule(node)
        except BadRule as error:
            problem = problem or str(error)
        properties = node.get("properties")
        inner = properties if isinstance(properties, Mapping) else node
        names = (inner.get("displayName"), inner.get("name"), inner.get("ParserName"), node.get("name"))
        name = next((str(one) for one in names if isinstance(one, str)), "")
        try:
            functions = tuple(own_functions(inner))
        except ValueError:
            functions = ()
        prefix = scalar_lets(functions[0].parameters) if functions else ""
        return Query(text, self.path, self.text, name, rule=rule, problem=problem, prefix=prefix, functions=functions)

    def _resolved(self, text: Text) -> tuple[Text, str]:
        """A query that is a template expression: what it refers to if that is plain text, or why it is not known."""
        if not (text.startswith("[") and text.rstrip().endswith("]")) or text.startswith("[["):
            return text, ""
        found = _REFERENCE.fullmatch(text.strip())
        if found is not None and isinstance(self.document, Mapping):
            value = (self.document.get(found[1]) or {}).get(found[2])
            value = value.get("defaultValue") if isinstance(value, Mapping) else value
            if isinstance(value, Text) and not value.startswith("["):
                return value, ""
        return text, "the query is a template expression, whose value is known when the template is deployed"

    def _flows(self, properties: Mapping[str, Any]) -> Iterator[Query]:
        """The transformations of a data collection rule, each with the columns of its stream."""
        flows, declared = properties.get("dataFlows"), properties.get("streamDeclarations")
        streams = declared if isinstance(declared, Mapping) else {}
        for flow in flows if isinstance(flows, list) else ():
            transform = flow.get("transformKql") if isinstance(flow, Mapping) else None
            if not isinstance(transform, Text):
                continue
            text, problem = self._resolved(transform)
            for stream in flow.get("streams") or [""]:
                output = str(flow.get("outputStream") or stream)
                columns = stream_columns(str(stream), streams)
                yield Query(
                    text, self.path, self.text, str(stream), transform=True, stream=str(stream), columns=columns,
                    output=output.partition("-")[2], problem=problem,
                )  # fmt: skip


def stream_columns(stream: str, declared: Mapping[str, Any]) -> tuple[Column, ...] | None:
    """The columns of a stream: as declared, or for one of Azure's own those of its table; None where neither is known."""
    declaration = declared.get(stream)
    if isinstance(declaration, Mapping):
        given = declaration.get("columns")
        columns = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
        return tuple(
            Column(str(one.get("name")), TYPE_NAMES.get(str(one.get("type")).lower(), KqlType.DYNAMIC))
            for one in columns
        )
    kind, _, table = stream.partition("-")
    schema = known_schema(table.removeprefix("Table-")) if kind == "Microsoft" else None
    return None if schema is None else (Column(TIME, KqlType.DATETIME), *schema)


#: Each kind of file by its suffix.
CONTAINERS: dict[str, Callable[[str, str], Iterator[Query]]] = {
    ".kql": _plain,
    ".kusto": _plain,
    ".csl": _plain,
    ".txt": _plain,
    ".md": _markdown,
    ".yaml": _documents,
    ".yml": _documents,
    ".json": _documents,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
