"""Tokens to tree: statements and scalar expressions; tabular operators parse themselves (`operators/`).

Binding strength follows the published grammar (https://github.com/microsoft/Kusto-Query-Language): or, and, equality and
lists, relation, sum, product, string operators, sign, member access. Equality and relation do not chain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

from . import limits, literals, tree
from .errors import SYNTAX_END, SYNTAX_TOKEN, Problem, nearest, over_limit, unsupported
from .known_names import SOURCES, TABULAR_OPERATORS
from .lexer import Token, tokenize
from .types import TYPE_NAMES, Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .operators.registry import TabularOperator

T = TypeVar("T")

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

#: Statements of KQL that are refused by name.
_REFUSED_STATEMENTS = {
    "set": "the set statement",
    "declare": "the declare statement",
    "alias": "the alias statement",
    "restrict": "the restrict statement",
}


class Parser:
    """A recursive-descent parser over the tokens of one query."""

    def __init__(
        self, text: str, operators: Mapping[str, TabularOperator], sources: Mapping[str, TabularOperator]
    ) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.depth = 0
        self.operator_count = 0
        self.broken: set[str] = set()
        self._operators = operators
        self._sources = sources

    # Tokens

    @property
    def current(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.position]

    def at_end(self) -> bool:
        """Whether all tokens are taken."""
        return self.position == len(self.tokens) - 1

    def peek(self, ahead: int = 1) -> Token:
        """A token further on; the end token where there is none."""
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Takes the next token."""
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def at_text(self, *texts: str) -> bool:
        """Whether the next token is a name or mark with one of these texts."""
        token = self.tokens[self.position]
        return token.text in texts and token.kind in ("name", "punctuation")

    def accept(self, *texts: str) -> Token | None:
        """Takes the next token if it is one of these."""
        return self.advance() if self.at_text(*texts) else None

    def expect(self, text: str) -> Token:
        """Takes the next token, which must be this one."""
        return self.accept(text) or self.fail(f"expected '{text}'")

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Raises the syntax problem at a token, the next one if none is given."""
        token = token or self.current
        if token.kind == "end":
            raise Problem("syntax", SYNTAX_END, message, token.at)
        raise Problem("syntax", SYNTAX_TOKEN, message, token.at, token.text)

    # Statements

    def query(self) -> tree.Query:
        """The whole query; a statement that does not parse is skipped to its end so that others are reported too."""
        lets: list[tree.Let] = []
        pipelines: list[tree.Pipeline] = []
        problems: list[Problem] = []
        while not self.at_end():
            if self.accept(";"):
                continue
            try:
                if self.at_text("let") and self.peek().text != "|":
                    lets.append(self._let())
                else:
                    pipelines.append(self._query_statement())
                if not self.at_end() and not self.at_text(";"):
                    self.fail("expected an operator or the end of the statement")
            except Problem as problem:
                problems.append(problem)
                if problem.kind == "limit":
                    break
                self._skip_statement()
        if not pipelines and not problems:
            self.fail("the query has no tabular statement")
        return tree.Query(self.text, lets, pipelines, problems, frozenset(self.broken))

    def _skip_statement(self) -> None:
        self.depth = 0
        while not self.at_end() and not self.at_text(";"):
            self.advance()

    def _query_statement(self) -> tree.Pipeline:
        token = self.current
        if token.text in _REFUSED_STATEMENTS and self.peek().kind == "name":
            raise unsupported(_REFUSED_STATEMENTS[token.text], token.at, token.text)
        return self.pipeline()

    def _let(self) -> tree.Let:
        at = self.advance().at
        name = self.name()
        self.broken.add(name)
        self.expect("=")
        if self.at_text("(") and self._is_function():
            raise unsupported("a user-defined function in a let statement", self.current.at, name)
        if self.at_text("view") and self.peek().text == "(":
            raise unsupported("a view in a let statement", self.current.at, name)
        value = self.pipeline_or_expression()
        self.broken.discard(name)
        return tree.Let(at, name, value)

    def _is_function(self) -> bool:
        """Whether `(...)` is followed by `{`: a function's parameters and body."""
        depth = 0
        for ahead in range(self.position, len(self.tokens)):
            token = self.tokens[ahead]
            if token.kind != "punctuation":
                continue
            if token.text == "(":
                depth += 1
            elif token.text == ")":
                depth -= 1
                if depth == 0:
                    return self.tokens[min(ahead + 1, len(self.tokens) - 1)].text == "{"
        return False

    # Pipelines

    def pipeline(self) -> tree.Pipeline:
        """A source and its operators."""
        self._enter(self.current.at)
        source = self._source()
        pipeline = self._operators_after(source)
        self.depth -= 1
        return pipeline

    def pipeline_or_expression(self) -> tree.Pipeline | tree.Expression:
        """What a let statement or a parenthesis may hold."""
        if self._source_operator() is not None:
            return self.pipeline()
        value = self.expression()
        if self.at_text("|"):
            return self._operators_after(value)
        return value.pipeline if isinstance(value, tree.Subquery) else value

    def _source(self) -> tree.Expression | tree.Operator:
        row = self._source_operator()
        if row is not None:
            return row.parse(self, self._operator_name())
        if self.current.kind in ("string", "long", "real", "timespan", "typed"):
            self.fail("expected a table, a let name or a source operator")
        return self.postfix()

    def _source_operator(self) -> TabularOperator | None:
        token = self.current
        if token.kind != "name":
            return None
        row = self._sources.get(token.text)
        if row is None and token.text not in SOURCES:
            return None
        after = self.peek()
        # A table or column may be called like a source operator (`print | take 5`), and range() is a function too.
        if after.kind == "end" or (after.kind == "punctuation" and after.text not in ("(", "[", "*", "-", "+", "$")):
            return None
        if row is None:
            if after.text == "(" and token.text in ("range", "find", "search", "evaluate"):
                return None
            raise unsupported(f"the operator '{token.text}'", token.at, token.text)
        return row

    def _operators_after(self, source: tree.Expression | tree.Operator) -> tree.Pipeline:
        operators: list[tree.Operator] = []
        while self.accept("|"):
            self.operator_count += 1
            if self.operator_count > limits.OPERATORS.value:
                raise over_limit(f"the query has more than {limits.OPERATORS.value} operators", self.current.at)
            name = self._operator_name()
            row = self._operators.get(name.text)
            if row is None:
                raise self._unknown_operator(name)
            operators.append(row.parse(self, name))
        return tree.Pipeline(source.at, source, tuple(operators))

    def _unknown_operator(self, name: Token) -> Problem:
        if name.text in TABULAR_OPERATORS:
            return unsupported(f"the operator '{name.text}'", name.at, name.text)
        hint = nearest(name.text, [*self._operators, *TABULAR_OPERATORS])
        return Problem("syntax", SYNTAX_TOKEN, "unknown operator", name.at, name.text, hint)

    def _operator_name(self) -> Token:
        """An operator's name, which may hold hyphens: `project-away` is three tokens without a gap."""
        first = self.current
        if first.kind != "name":
            self.fail("expected an operator")
        self.advance()
        text = first.text
        while self.current.text == "-" and self.current.at == first.at + len(text) and self.peek().kind == "name":
            if self.peek().at != self.current.end:
                break
            text += "-" + self.peek().text
            self.advance()
            self.advance()
        return Token("name", text, first.at)

    # Names and lists

    def name(self) -> str:
        """A name: bare, or `['any characters']`."""
        token = self.current
        if token.kind == "name":
            return self.advance().text
        if self.at_text("[") and self.peek().kind == "string" and self.peek(2).text == "]":
            self.advance()
            name = self.string()
            self.expect("]")
            return name
        return self.fail("expected a name")

    def string(self) -> str:
        """A string literal; adjacent ones are one string."""
        parts: list[str] = []
        while self.current.kind == "string":
            token = self.advance()
            parts.append(literals.string_value(token.text, token.at))
        if not parts:
            self.fail("expected a string")
        return "".join(parts)

    def comma_list(self, item: Callable[[], T]) -> tuple[T, ...]:
        """One or more items with commas between."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return tuple(items)

    def schema(self) -> tuple[Column, ...]:
        """`(name: type, ...)`."""
        self.expect("(")
        if self.accept(")"):
            return ()
        columns = self.comma_list(self._schema_column)
        self.expect(")")
        return columns

    def _schema_column(self) -> Column:
        name = self.name()
        self.expect(":")
        token = self.advance()
        if token.text not in TYPE_NAMES:
            self.fail("expected a type", token)
        return Column(name, TYPE_NAMES[token.text])

    def pattern(self) -> tree.Pattern:
        """A column name that may hold `*`."""
        at = self.current.at
        if self.at_text("["):
            return tree.Pattern(at, self.name().replace("*", "\0"))
        text, end = "", at
        while self.current.at == end and (self.current.kind in ("name", "long") or self.current.text == "*"):
            text += self.current.text
            end = self.current.end
            self.advance()
        if not text:
            self.fail("expected a column name")
        return tree.Pattern(at, text)

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
            found[".".join(words)] = self.postfix()
        return found

    # Expressions

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
        self._enter(self.current.at)
        left = self._prefix()
        chain = 0
        level_limit = STRING + 1
        while True:
            token = self.current
            infix = INFIX.get(token.text) if token.kind in ("name", "punctuation") else None
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
        if self.accept(")"):
            return ()
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
            self._enter(token.at)
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
                value = tree.Member(token.at, value, self.name())
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
            if token.text in ("true", "false"):
                return tree.Literal(token.at, KqlType.BOOL, token.text == "true")
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
        return tree.Call(token.at, token.text, arguments)

    def _argument(self) -> tree.Expression:
        at = self.current.at
        if self._source_operator() is not None:
            return tree.Subquery(at, self.pipeline())
        value = self.named_expression()
        return tree.Subquery(at, self._operators_after(value)) if self.at_text("|") else value

    def _parenthesis(self) -> tree.Expression:
        at = self.advance().at
        inner = self.pipeline_or_expression()
        self.expect(")")
        return tree.Subquery(at, inner) if isinstance(inner, tree.Pipeline) else tree.Parenthesis(at, inner)

    # dynamic(...) literals

    def _json(self, at: int) -> object:
        """JSON, or KQL literals inside it, as a Python value; an integer keeps its digits."""
        self._enter(at)
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
        from .encode import dynamic_value  # noqa: PLC0415 - encode stands on types only; kept out of the hot path

        literal = self._literal(token)
        if not isinstance(literal, tree.Literal):
            self.fail("expected a literal", token)
        return dynamic_value(literal.type, literal.value)

    def _enter(self, at: int) -> None:
        self.depth += 1
        if self.depth > limits.NESTING.value:
            raise over_limit(f"the query nests deeper than {limits.NESTING.value} levels", at)
