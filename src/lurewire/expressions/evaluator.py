"""A JSON tree with expressions in it, evaluated or checked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lurewire.expressions.errors import ExpressionError, FunctionError
from lurewire.expressions.parser import Access, Call, Literal, Node, Syntax, is_expression, parse, references
from lurewire.expressions.values import AccessError, access, kind, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.expressions.parser import Template
    from lurewire.expressions.table import FunctionTable

MAX_DEPTH = 100
"""Objects and arrays inside each other in a document that is evaluated."""

C = TypeVar("C")


def evaluate(value: Any, table: FunctionTable[C], context: C, syntax: Syntax, where: str = "") -> Any:
    """`value` with every string and property name evaluated; results are not evaluated again.

    `where` is the path of `value` in its document: errors extend it to the string that they are about. Raises
    `ExpressionError`. Sources:
    https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-definition-language#expressions and
    https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions
    """
    return _Evaluator(table, context, syntax).value(value, where, 0)


def check(value: Any, table: FunctionTable[Any], syntax: Syntax, where: str = "") -> Iterator[ExpressionError]:
    """What is wrong with the expressions in `value` before anything is evaluated: syntax, names, argument counts."""
    for source, place in strings(value, where):
        if not is_expression(source, syntax):
            continue
        try:
            template = parse(source, syntax)
        except ExpressionError as error:
            yield ExpressionError(error.code, error.message, error.expression, error.position, place)
            continue
        for tree in template.trees:
            for call in references(tree):
                try:
                    table.find(call.name, len(call.arguments))
                except ExpressionError as error:
                    yield ExpressionError(error.code, error.message, source, call.position, place)


def strings(value: Any, where: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every string of a document, property names too, each with its path."""
    _check_depth(depth, where)
    if isinstance(value, str):
        yield value, where
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{where}/{index}", depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            place = f"{where}/{pointer(name)}"
            yield name, place
            yield from strings(item, place, depth + 1)


def pointer(name: str) -> str:
    """A property name as one segment of a JSON pointer. Source: https://www.rfc-editor.org/rfc/rfc6901."""
    return name.replace("~", "~0").replace("/", "~1")


def _check_depth(depth: int, where: str) -> None:
    if depth > MAX_DEPTH:
        message = f"The document is nested more than {MAX_DEPTH} deep."
        raise ExpressionError("InvalidTemplate", message, "", 0, where)


class _Evaluator:
    def __init__(self, table: FunctionTable[Any], context: Any, syntax: Syntax) -> None:
        self._table = table
        self._context = context
        self._syntax = syntax

    def value(self, value: Any, where: str, depth: int) -> Any:
        if isinstance(value, str):
            return self._string(value, where) if is_expression(value, self._syntax) else value
        if isinstance(value, list):
            _check_depth(depth, where)
            return [self.value(item, f"{where}/{index}", depth + 1) for index, item in enumerate(value)]
        if isinstance(value, dict):
            _check_depth(depth, where)
            result: dict[str, Any] = {}
            for name, item in value.items():
                place = f"{where}/{pointer(name)}"
                result[self._name(name, place)] = self.value(item, place, depth + 1)
            return result
        return value

    def _name(self, name: str, where: str) -> str:
        if not is_expression(name, self._syntax):
            return name
        evaluated = self._string(name, where)
        if not isinstance(evaluated, str):
            message = f"A property name must be a string; this expression gives a value of type '{kind(evaluated)}'."
            raise ExpressionError("InvalidTemplate", message, name, 0, where)
        return evaluated

    def _string(self, source: str, where: str) -> Any:
        try:
            template = parse(source, self._syntax)
            if template.whole:
                return self._node(template.parts[0], template)
            return "".join(part if isinstance(part, str) else self._text(part, template) for part in template.parts)
        except ExpressionError as error:
            raise ExpressionError(error.code, error.message, error.expression, error.position, where) from error
        except RecursionError:
            message = "A value in the expression is nested too deep."
            raise ExpressionError("InvalidTemplate", message, source, 0, where) from None

    def _text(self, node: Node, template: Template) -> str:
        try:
            return text(self._node(node, template))
        except FunctionError as error:
            message = f"A value that {error.detail.removeprefix('was invoked with a parameter that ')}"
            raise ExpressionError("InvalidTemplate", message, template.source, node.position, "") from error

    def _node(self, node: Any, template: Template) -> Any:
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Access):
            return self._access(node, template)
        return self._call(node, template)

    def _access(self, node: Access, template: Template) -> Any:
        target = self._node(node.target, template)
        key = self._node(node.key, template)
        try:
            return access(target, key)
        except AccessError as error:
            if node.safe and error.forgiven:
                return None
            message = (
                f"The template language expression '{_shown(template)}' cannot be evaluated because {error.message}."
            )
            raise ExpressionError("InvalidTemplate", message, template.source, node.position, "") from error

    def _call(self, node: Call, template: Template) -> Any:
        try:
            row = self._table.find(node.name, len(node.arguments))
        except ExpressionError as error:
            raise ExpressionError(error.code, error.message, template.source, node.position, "") from error
        arguments: list[Any]
        if row.lazy:
            arguments = [partial(self._node, argument, template) for argument in node.arguments]
        else:
            arguments = [self._node(argument, template) for argument in node.arguments]
        try:
            return row.call(self._context, arguments)
        except FunctionError as error:
            message = f"The template language function '{row.name}' {error.detail} See {row.url}"
            raise ExpressionError("InvalidTemplate", message, template.source, node.position, "") from error


def _shown(template: Template) -> str:
    return template.source[1:] if template.whole else template.source
