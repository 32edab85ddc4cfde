"""Tokens to expression trees.

Binding strength follows the published grammar (https://github.com/microsoft/Kusto-Query-Language): or, and, equality and
lists, relation, sum, product, string operators, sign, member access. Equality and relation do not chain.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import limits, literals, tree
from .encode import dynamic_value
from .errors import over_limit
from .token_reader import BOOLEANS, TokenReader
from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .lexer import Token
    from .operators.registry import TabularOperator

OR, AND, EQUALITY, RELATION, SUM, PRODUCT, STRING = range(1, 8)
#: Levels whose operators cannot follow each other without parentheses.
_NO_CHAIN = frozenset({EQUALITY, RELATION})


@dataclass(frozen=True, slots=True)
class Infix:
    """How an infix operator is parsed: its strength, and which form its right side has."""

    strength: int
    form: str = "binary"
    canonical: str | None = None


def _string_operators() -> dict[str, Infix]:
    table: dict[str, Infix] = {}
    for word in ("has", "hasprefix", "hassuffix", "contains", "startswith", "endswith"):
        for suffix in ("", "_cs"):
            table[word + suffix] = Infix(STRING)
            table["!" + word + suffix] = Infix(STRING)
    table["notcontains"] = Infix(STRING, canonical="!contains")
    table["containscs"] = Infix(STRING, canonical="contains_cs")
    table["nothas"] = Infix(STRING, canonical="!has")
    return table


#: Every infix operator; a new one is a row here and a row in the binder's table.
INFIX: dict[str, Infix] = {
    "or": Infix(OR, "logic"),
    "and": Infix(AND, "logic"),
    "==": Infix(EQUALITY),
    "!=": Infix(EQUALITY),
    "<>": Infix(EQUALITY, canonical="!="),
    "in": Infix(EQUALITY, "list"),
    "!in": Infix(EQUALITY, "list"),
    "in~": Infix(EQUALITY, "list"),
    "!in~": Infix(EQUALITY, "list"),
    "has_any": Infix(EQUALITY, "list"),
    "has_all": Infix(EQUALITY, "list"),
    "between": Infix(EQUALITY, "between"),
    "!between": Infix(EQUALITY, "between"),
    "<": Infix(RELATION),
    "<=": Infix(RELATION),
    ">": Infix(RELATION),
    ">=": Infix(RELATION),
    "+": Infix(SUM),
    "-": Infix(SUM),
    "*": Infix(PRODUCT),
    "/": Infix(PRODUCT),
    "%": Infix(PRODUCT),
    "=~": Infix(STRING),
    "!~": Infix(STRING),
    "matches": Infix(STRING, "regex"),
    **_string_operators(),
}


class ExpressionParser(TokenReader):
    """Parses expressions; pipelines inside them are parsed by the subclass."""

    #: The infix operators in force: a search has one more.
    infix: Mapping[str, Infix] = INFIX

    @abstractmethod
    def pipeline(self) -> tree.Pipeline:
        """A source and its operators."""

    @abstractmethod
    def pipeline_or_expression(self) -> tree.Pipeline | tree.Expression:
        """What a parenthesis may hold."""

    @abstractmethod
    def source_operator(self) -> TabularOperator | None:
        """The source operator that begins at the next token, if one does."""

    @abstractmethod
    def operators_after(self, source: tree.Expression | tree.Operator) -> tree.Pipeline:
        """The operators that follow a source."""

    def named_expression(self) -> tree.Expression:
        """`name = expression`, `(a, b) = expression` or a bare expression."""
        at = self.current.at
        if self.current.kind == "name" and self.peek().text == "=" and self.peek().kind == "punctuation":
            name = self.advance().text
            self.advance()
            return tree.Named(at, (name,), self.expression())
        if self.at_text("[") and self.peek().kind == "string" and self._assigned_after_bracket():
            name = self.name()
            self.expect("=")
            return tree.Named(at, (name,), self.expression())
        if self.at_text("(") and self._is_name_list():
            self.advance()
            names = self.comma_list(self.name)
            self.expect(")")
            self.expect("=")
            return tree.Named(at, names, self.expression())
        return self.expression()

    def _assigned_after_bracket(self) -> bool:
        ahead = 1
        while self.peek(ahead).kind == "string":
            ahead += 1
        return self.peek(ahead).text == "]" and self.peek(ahead + 1).text == "="

    def _is_name_list(self) -> bool:
        ahead = 1
        while self.peek(ahead).kind == "name" and self.peek(ahead + 1).text == ",":
            ahead += 2
        return self.peek(ahead).kind == "name" and self.peek(ahead + 1).text == ")" and self.peek(ahead + 2).text == "="

    def expression(self, strength: int = OR) -> tree.Expression:
        """An expression whose infix operators bind at least this strongly."""
        self.enter(self.current.at)
        left = self._prefix()
        chain = 0
        level_limit = STRING + 1
        while True:
            token = self.current
            infix = self.infix.get(token.text) if token.kind in ("name", "punctuation") else None
            if infix is None or infix.strength < strength or infix.strength >= level_limit:
                break
            chain += 1
            if chain > limits.NESTING.value and infix.form != "logic":
                raise over_limit(f"an expression chains more than {limits.NESTING.value} operators", token.at)
            self.advance()
            left = self._infix(token, infix, left)
            level_limit = infix.strength if infix.strength in _NO_CHAIN else STRING + 1
        self.depth -= 1
        return left

    def _infix(self, token: Token, infix: Infix, left: tree.Expression) -> tree.Expression:
        operator = infix.canonical or token.text
        if infix.form == "logic":
            operands = [left, self.expression(infix.strength + 1)]
            while self.accept(token.text):
                operands.append(self.expression(infix.strength + 1))
            return tree.Logic(token.at, operator, tuple(operands))
        if infix.form == "list":
            return tree.Membership(token.at, operator, left, self._list_items())
        if infix.form == "between":
            self.expect("(")
            low = self.expression(SUM)
            self.expect("..")
            high = self.expression(SUM)
            self.expect(")")
            return tree.Between(token.at, operator.startswith("!"), left, low, high)
        if infix.form == "regex":
            self.expect("regex")
            operator = "matches regex"
        return tree.Binary(token.at, operator, left, self.expression(infix.strength + 1))

    def _list_items(self) -> tuple[tree.Expression, ...]:
        if not self.at_text("("):
            return (self.postfix(),)
        self.advance()
        items = self.comma_list(self._list_item)
        self.expect(")")
        return items

    def _list_item(self) -> tree.Expression:
        at = self.current.at
        item = self.pipeline_or_expression()
        return tree.Subquery(at, item) if isinstance(item, tree.Pipeline) else item

    def _prefix(self) -> tree.Expression:
        token = self.current
        if token.kind == "punctuation" and token.text in ("-", "+"):
            self.advance()
            self.enter(token.at)
            operand = self._prefix()
            self.depth -= 1
            return tree.Unary(token.at, token.text, operand)
        return self.postfix()

    def postfix(self) -> tree.Expression:
        """A primary expression and its member accesses."""
        value = self._primary()
        accesses = 0
        while True:
            token = self.current
            if self.at_text("."):
                self.advance()
                # `a.["b"]` and `a.[expression]` lead into a value as `a["b"]` does.
                value = value if self._at_index() else self._member(token, value)
            elif self.at_text("["):
                self.advance()
                index = self.expression()
                self.expect("]")
                value = tree.Index(token.at, value, index)
            else:
                return value
            accesses += 1
            if accesses > limits.NESTING.value:
                raise over_limit(f"a path has more than {limits.NESTING.value} steps", token.at)

    def _at_index(self) -> bool:
        return self.at_text("[") and not (self.peek().kind == "string" and self.peek(2).text == "]")

    def _member(self, token: Token, target: tree.Expression) -> tree.Expression:
        name = self.current
        if name.kind == "name" and self.peek().text == "(":
            call = self._name_or_call()
            if not isinstance(call, tree.Call):
                self.fail("expected a name after '.', not a literal", name)
            return tree.Member(token.at, target, call.name, call)
        return tree.Member(token.at, target, self.name())

    def _primary(self) -> tree.Expression:
        token = self.current
        if token.kind == "name":
            return self._name_or_call()
        if token.kind == "string":
            return tree.Literal(token.at, KqlType.STRING, self.string())
        if token.kind in ("long", "real", "timespan", "typed"):
            self.advance()
            return self._literal(token)
        if self.at_text("("):
            return self._parenthesis()
        if self.at_text("["):
            return tree.Name(token.at, self.name())
        if self.at_text("*"):
            self.advance()
            return tree.Star(token.at)
        return self.fail("expected an expression")

    def _literal(self, token: Token) -> tree.Expression:
        if token.kind == "long":
            typed = literals.long_value(token.text, token.at)
        elif token.kind == "real":
            typed = literals.TypedValue(KqlType.REAL, float(token.text))
        elif token.kind == "timespan":
            typed = literals.timespan_value(token.text, token.at)
        else:
            value = literals.typed_value(token.text, token.at)
            if value is None:
                return tree.Call(token.at, "now", ())
            typed = value
        return tree.Literal(token.at, typed.type, typed.value)

    def _name_or_call(self) -> tree.Expression:
        token = self.advance()
        if not self.at_text("("):
            if token.text in BOOLEANS:
                return tree.Literal(token.at, KqlType.BOOL, BOOLEANS[token.text])
            return tree.Name(token.at, token.text)
        self.advance()
        if token.text == "dynamic":
            value = self._json(token.at)
            self.expect(")")
            text = None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            return tree.Literal(token.at, KqlType.DYNAMIC, text)
        if self.accept(")"):
            return tree.Call(token.at, token.text, ())
        arguments = self.comma_list(self._argument)
        self.expect(")")
        return self._date_of_parts(token, arguments) or tree.Call(token.at, token.text, arguments)

    def _date_of_parts(self, token: Token, arguments: Sequence[tree.Expression]) -> tree.Expression | None:
        """`datetime(2026, 1, 31)`: a literal whose parts are numbers."""
        parts = [part.value for part in arguments if isinstance(part, tree.Literal) and isinstance(part.value, int)]
        if token.text != "datetime" or len(parts) != 3 or len(arguments) != 3:
            return None
        value = literals.typed_value("datetime({:04}-{:02}-{:02})".format(*parts), token.at)
        assert value is not None
        return tree.Literal(token.at, value.type, value.value)

    def _argument(self) -> tree.Expression:
        at = self.current.at
        if self.source_operator() is not None:
            return tree.Subquery(at, self.pipeline())
        value = self.named_expression()
        return tree.Subquery(at, self.operators_after(value)) if self.at_text("|") else value

    def _parenthesis(self) -> tree.Expression:
        at = self.advance().at
        inner = self.pipeline_or_expression()
        self.expect(")")
        return tree.Subquery(at, inner) if isinstance(inner, tree.Pipeline) else tree.Parenthesis(at, inner)

    # dynamic(...) literals

    def _json(self, at: int) -> object:
        """JSON, or KQL literals inside it, as a Python value; an integer keeps its digits."""
        self.enter(at)
        token = self.current
        value: object
        if self.accept("["):
            items = () if self.at_text("]") else self.comma_list(lambda: self._json(at))
            self.expect("]")
            value = list(items)
        elif self.accept("{"):
            pairs: Sequence[tuple[str, object]] = (
                () if self.at_text("}") else self.comma_list(lambda: self._json_pair(at))
            )
            self.expect("}")
            value = dict(pairs)
        elif token.kind == "string":
            value = self.string()
        elif self.accept("-", "+"):
            value = self._json(at)
            if isinstance(value, bool) or not isinstance(value, int | float):
                self.fail("expected a number", token)
            value = -value if token.text == "-" else value
        elif self.accept("null"):
            value = None
        elif self.accept("true", "false"):
            value = token.text == "true"
        elif token.text == "dynamic" and self.peek().text == "(":
            self.advance()
            self.advance()
            value = self._json(at)
            self.expect(")")
        elif token.kind in ("long", "real", "timespan", "typed"):
            self.advance()
            value = self._json_scalar(token)
        else:
            self.fail("expected a dynamic value")
        self.depth -= 1
        return value

    def _json_pair(self, at: int) -> tuple[str, object]:
        key = self.string() if self.current.kind == "string" else self.name()
        self.expect(":")
        return key, self._json(at)

    def _json_scalar(self, token: Token) -> object:
        literal = self._literal(token)
        if not isinstance(literal, tree.Literal):
            self.fail("expected a literal", token)
        return dynamic_value(literal.type, literal.value)

    def parameters(self) -> dict[str, tree.Expression]:
        """`name=value` settings that stand before an operator's operands, such as `hint.strategy=shuffle`."""
        found: dict[str, tree.Expression] = {}
        while self.current.kind == "name" and (self.peek().text == "=" or self.peek().text == "."):
            ahead = 1
            while self.peek(ahead).text == "." and self.peek(ahead + 1).kind == "name":
                ahead += 2
            words = [self.peek(index).text for index in range(0, ahead, 2)]
            if self.peek(ahead).text != "=" or words[0] not in ("hint", "kind", "with", "bagexpansion", "isfuzzy"):
                break
            for _ in range(ahead + 1):
                self.advance()
            bare = self.current
            found[".".join(words)] = tree.Name(bare.at, self.advance().text) if bare.kind == "name" else self._primary()
        return found
