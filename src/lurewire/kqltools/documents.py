"""YAML and JSON documents whose texts know where they stand in their file.

Both give the same plain dicts and lists; a string is a `Text`, from which the place of any of its characters can be found.
JSON may hold comments, as ARM templates do. Dates stay text: nothing of a rule is a date, and rows of data are read by
KQL's own conversions.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH = 100
_MOST_VALUES = 1_000_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BLANK = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_ATOM = re.compile(r"-?(?:0|[1-9]\d{0,999})(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null", re.ASCII)
_ESCAPE = re.compile(r"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)", re.DOTALL)  # fmt: skip
_TAG = "tag:yaml.org,2002:"
_SPACE_ESCAPES = frozenset("nrtfv _NLP\n\r")
_CODED = frozenset("uUx")


class MalformedDocument(Exception):
    """A file that is not what its name says; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Text(str):
    """A string of a document: `at` is the offset of its first character, quote or block mark; `quote` how it is written."""

    __slots__ = ("at", "quote", "source")

    at: int
    quote: str
    source: str

    @classmethod
    def of(cls, value: str, source: str, at: int, quote: str) -> Text:
        """`value`, which stands at `at` of the file's text `source`."""
        made = cls(value)
        made.source, made.at, made.quote = source, at, quote
        return made

    def offset(self, index: int) -> int:
        """The place in the file of the character `index` of this text.

        Folding and indentation of YAML change white space only, and escapes stand for one character: so the texts are
        walked side by side.
        """
        return _walk(self, self.source, self.at, self.quote, index)


def _walk(value: str, source: str, at: int, quote: str, index: int) -> int:
    if quote in "|>" and quote:
        end = source.find("\n", at)
        at = len(source) if end < 0 else end + 1
    elif quote:
        at += 1
    for place in range(min(index + 1, len(value))):
        wanted = value[place]
        if wanted.isspace():
            if place < index and source[at : at + 1] == wanted:
                at += 1
            continue
        at = _next_ink(source, at, quote)
        if place < index:
            at += _width(source, at, quote)
    return min(at, len(source))


def _next_ink(source: str, at: int, quote: str) -> int:
    """The next place that is not white space, nor the escape of one."""
    while at < len(source):
        if source[at].isspace():
            at += 1
        elif quote == '"' and _escapes_space(source, at):
            at += _width(source, at, quote)
        else:
            break
    return at


def _escapes_space(source: str, at: int) -> bool:
    found = _ESCAPE.match(source, at)
    if found is None:
        return False
    kind = found[0][1]
    return (
        chr(int(found[0].lstrip("\\uUx"), 16)).isspace()
        if kind in _CODED and len(found[0]) in (4, 6)
        else kind in _SPACE_ESCAPES
    )


def _width(source: str, at: int, quote: str) -> int:
    """How many characters of the file the one at `at` takes."""
    if quote == '"' and source.startswith("\\", at):
        found = _ESCAPE.match(source, at)
        return len(found[0]) if found else 1
    return 2 if quote == "'" and source.startswith("''", at) else 1


def read_documents(text: str, suffix: str) -> list[Any]:
    """The documents of a .json, .yaml or .yml file; raises MalformedDocument."""
    return [_Json(text).document()] if suffix.lower() == ".json" else list(_yaml(text))


def _yaml(text: str) -> Iterator[Any]:
    try:
        loader = _LOADER(text.removeprefix("\ufeff"))
    except yaml.reader.ReaderError as error:
        raise MalformedDocument(f"no YAML: {error.reason}", *_line_of(text, error.position)) from None
    shift = 1 if text.startswith("\ufeff") else 0
    try:
        while loader.check_node():
            yield _Nodes(loader, text, shift).value(loader.get_node(), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise MalformedDocument(f"no YAML: {error.problem or error.context}", *where) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise MalformedDocument(f"no YAML: {error}") from None
    finally:
        loader.dispose()


def _line_of(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


class _Nodes:
    """YAML nodes to values; what an alias stands for is made once, but counted as often as it is used."""

    def __init__(self, loader: Any, text: str, shift: int) -> None:
        self._loader = loader
        self._text = text
        self._shift = shift
        self._made: dict[int, tuple[Any, int]] = {}
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: Any, depth: int) -> Any:
        known = id(node)
        if known in self._made:
            value, size = self._made[known]
            self._count += size
            if self._count > _MOST_VALUES:
                raise MalformedDocument(f"the document holds more than {_MOST_VALUES} values")
            return value
        if known in self._open or depth > _DEPTH:
            raise MalformedDocument(
                "the document nests too deeply", node.start_mark.line + 1, node.start_mark.column + 1
            )
        self._open.add(known)
        before = self._count
        self._count += 1
        made = self._make(node, depth + 1)
        self._open.discard(known)
        self._made[known] = made, self._count - before
        return made

    def _make(self, node: Any, depth: int) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            self._loader.flatten_mapping(node)
            return {self._key(key): self.value(item, depth) for key, item in node.value}
        if node.tag in (f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool", f"{_TAG}null"):
            return self._loader.construct_object(node)
        return Text.of(node.value, self._text, node.start_mark.index + self._shift, node.style or "")

    @staticmethod
    def _key(node: Any) -> str:
        if not isinstance(node, yaml.ScalarNode):
            message = "no YAML of this kind: a key is text (text that begins with a brace needs quotes)"
            raise MalformedDocument(message, node.start_mark.line + 1, node.start_mark.column + 1)
        return str(node.value)


class _Json:
    """A reader of JSON that keeps the places of strings; its errors name the place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Any:
        value = self._value(0)
        self._skip()
        if self._at < len(self._text):
            raise self._fail("more text after the end")
        return value

    def _fail(self, what: str) -> MalformedDocument:
        return MalformedDocument(f"no JSON: {what}", *_line_of(self._text, self._at))

    def _skip(self) -> str:
        """Passes white space and comments; gives the next character."""
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Any:
        if depth > _DEPTH:
            raise self._fail("it nests too deeply")
        first = self._skip()
        if first == '"':
            return self._string()
        if first == "{":
            return self._object(depth + 1)
        if first == "[":
            return self._array(depth + 1)
        found = _ATOM.match(self._text, self._at)
        if found is None:
            raise self._fail("a value is expected here")
        self._at = found.end()
        return json.loads(found[0])

    def _string(self) -> Text:
        start = self._at
        try:
            value, self._at = json.decoder.scanstring(self._text, start + 1, False)  # type: ignore[attr-defined]
        except json.JSONDecodeError as error:
            self._at = error.pos
            raise self._fail(error.msg) from None
        return Text.of(value, self._text, start, '"')

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        while self._skip() != "}":
            if found and not self._comma("}"):
                break
            if self._skip() != '"':
                raise self._fail("a key in double quotes is expected here")
            key = str(self._string())
            if self._skip() != ":":
                raise self._fail("':' is expected here")
            self._at += 1
            found[key] = self._value(depth)
        self._at += 1
        return found

    def _array(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while self._skip() != "]":
            if found and not self._comma("]"):
                break
            found.append(self._value(depth))
        self._at += 1
        return found

    def _comma(self, end: str) -> bool:
        """Passes the comma between two items; false where it was the last thing before the end."""
        if self._skip() != ",":
            raise self._fail(f"',' or '{end}' is expected here")
        self._at += 1
        return self._skip() != end
