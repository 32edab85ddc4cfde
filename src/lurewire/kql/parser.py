"""Tokens to tree: statements and pipelines; tabular operators parse themselves (`operators/`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import limits, tree
from .errors import SYNTAX_TOKEN, Problem, nearest, over_limit, unsupported
from .expression_parser import ExpressionParser
from .known_names import SOURCES, TABULAR_OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .lexer import Token
    from .operators.registry import TabularOperator


_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


class Parser(ExpressionParser):
    """A recursive-descent parser over the tokens of one query."""

    def __init__(
        self, text: str, operators: Mapping[str, TabularOperator], sources: Mapping[str, TabularOperator]
    ) -> None:
        super().__init__(text)
        self.operator_count = 0
        self.broken: set[str] = set()
        self._operators = operators
        self._sources = sources

    # Statements

    def query(self) -> tree.Query:
        """The whole query; a statement that does not parse is skipped to its end so that others are reported too."""
        statements: list[tree.Statement] = []
        problems: list[Problem] = []
        parameters: list[tree.Parameter] = []
        options: dict[str, tree.Expression | None] = {}
        while not self.at_end():
            start = self.position
            try:
                if self.at_text("declare") and self.peek().text == "query_parameters":
                    self.advance()
                    self.advance()
                    parameters.extend(self._parameters())
                elif self.at_text("set") and self.peek().kind == "name":
                    options.update([self._option()])
                else:
                    statements.append(self._statement())
                if not self.at_end() and not self.at_text(";"):
                    self.fail("expected an operator or the end of the statement")
            except Problem as problem:
                problems.append(problem)
                if problem.kind == "limit":
                    break
                self._skip_statement(start)
            self.accept(";")
        if not problems and not any(isinstance(statement, tree.Pipeline) for statement in statements):
            self.fail("the query has no tabular statement")
        return tree.Query(self.text, statements, problems, frozenset(self.broken), parameters, options)

    def _skip_statement(self, start: int) -> None:
        """Goes to the semicolon that ends the statement which began at the token `start`: one in no bracket."""
        self.depth = 0
        marks = [token.text for token in self.tokens[start : self.position] if token.kind == "punctuation"]
        open_ = sum(mark in _OPENING for mark in marks) - sum(mark in _CLOSING for mark in marks)
        while not self.at_end() and not (self.at_text(";") and open_ <= 0):
            token = self.advance()
            if token.kind == "punctuation":
                open_ += (token.text in _OPENING) - (token.text in _CLOSING)

    def _statement(self) -> tree.Statement:
        after = self.peek()
        if self.at_text("let") and after.text != "|":
            return self._let()
        if self.at_text("declare") and after.text == "pattern":
            return self._pattern()
        if self.at_text("alias") and after.text == "database":
            return self._alias()
        if self.at_text("restrict") and after.text == "access":
            return self._restriction()
        return self.pipeline()

    def _pattern(self) -> tree.PatternDeclaration:
        """`declare pattern` (https://learn.microsoft.com/kusto/query/pattern-statement)."""
        at = self.advance().at
        self.advance()
        name = self.name()
        if not self.accept("="):
            return tree.PatternDeclaration(at, name, (), None, ())
        parameters = self._parameters()
        path = None
        if self.accept("["):
            path = self._parameter()
            self.expect("]")
        self.expect("{")
        clauses: list[tree.PatternClause] = []
        while not self.accept("}"):
            clauses.append(self._pattern_clause((*parameters, path) if path else parameters))
            self.accept(";")
        return tree.PatternDeclaration(at, name, parameters, path, tuple(clauses))

    def _pattern_clause(self, parameters: tuple[tree.Parameter, ...]) -> tree.PatternClause:
        at = self.expect("(").at
        values = self.comma_list(self.string)
        self.expect(")")
        path = None
        if self.accept("."):
            path = self.name()
        self.expect("=")
        return tree.PatternClause(at, values, path, self._body(at, parameters, view=False))

    def _alias(self) -> tree.Alias:
        """`alias database` (https://learn.microsoft.com/kusto/query/alias-statement)."""
        at = self.advance().at
        self.advance()
        name = self.name()
        self.expect("=")
        return tree.Alias(at, name, self._scope_calls())

    def _scope_calls(self) -> tuple[tree.Call, ...]:
        """`cluster(...).database(...)`, as far as it is calls."""
        calls: list[tree.Call] = []
        while self.at_text("cluster", "database", "workspace") and self.peek().text == "(":
            call = self._name_or_call()
            assert isinstance(call, tree.Call)
            calls.append(call)
            if not (self.at_text(".") and self.peek(2).text == "("):
                break
            self.advance()
        if not calls:
            self.fail("expected cluster(...), database(...) or workspace(...)")
        return tuple(calls)

    def _restriction(self) -> tree.Restriction:
        """`restrict access to` (https://learn.microsoft.com/kusto/query/restrict-statement)."""
        at = self.advance().at
        self.advance()
        self.expect("to")
        self.expect("(")
        entities = self.comma_list(self._entity)
        self.expect(")")
        return tree.Restriction(at, entities)

    def _entity(self) -> tree.Entity:
        at = self.current.at
        calls: tuple[tree.Call, ...] = ()
        if self.at_text("cluster", "database", "workspace") and self.peek().text == "(":
            calls = self._scope_calls()
            self.expect(".")
        return tree.Entity(at, calls, self.pattern().text)

    def _let(self) -> tree.Let:
        at = self.advance().at
        name = self.name()
        self.broken.add(name)
        self.expect("=")
        if self.at_text("view") and self.peek().text == "(":
            self.advance()
            value: tree.Expression | tree.Pipeline | tree.Lambda = self._lambda(view=True)
        elif self.at_text("(") and self._is_function():
            value = self._lambda(view=False)
        else:
            value = self.pipeline_or_expression()
        self.broken.discard(name)
        return tree.Let(at, name, value)

    def _option(self) -> tuple[str, tree.Expression | None]:
        """`set option [= value]` (https://learn.microsoft.com/kusto/query/set-statement)."""
        self.advance()
        return self.name(), self.expression() if self.accept("=") else None

    def function(self) -> tree.Lambda:
        """A whole text that is one function: `(parameters) { body }`."""
        found = self._lambda(view=False)
        if not self.at_end():
            self.fail("expected the end of the function")
        return found

    def _lambda(self, *, view: bool) -> tree.Lambda:
        at = self.current.at
        return self._body(at, self._parameters(), view=view)

    def _body(self, at: int, parameters: tuple[tree.Parameter, ...], *, view: bool) -> tree.Lambda:
        """`{ lets; body }`."""
        self.enter(at)
        self.expect("{")
        lets: list[tree.Let] = []
        while self.at_text("let") and self.peek().text != "|":
            lets.append(self._let())
            self.expect(";")
        body = self.pipeline_or_expression()
        self.accept(";")
        self.expect("}")
        self.depth -= 1
        return tree.Lambda(at, parameters, tuple(lets), body, view)

    def _parameters(self) -> tuple[tree.Parameter, ...]:
        self.expect("(")
        if self.accept(")"):
            return ()
        parameters = self.comma_list(self._parameter)
        self.expect(")")
        return parameters

    def _parameter(self) -> tree.Parameter:
        at = self.current.at
        name = self.name()
        self.expect(":")
        if self.at_text("("):
            if self.peek().text == "*":
                self.advance()
                self.advance()
                self.expect(")")
                return tree.Parameter(at, name)
            return tree.Parameter(at, name, columns=self.schema())
        kind = self.type_name()
        default = self.expression() if self.accept("=") else None
        return tree.Parameter(at, name, kind, default=default)

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
        self.enter(self.current.at)
        source = self._source()
        pipeline = self.operators_after(source)
        self.depth -= 1
        return pipeline

    def pipeline_or_expression(self) -> tree.Pipeline | tree.Expression:
        """What a let statement or a parenthesis may hold."""
        if self.source_operator() is not None:
            return self.pipeline()
        value = self.expression()
        if self.at_text("|"):
            return self.operators_after(value)
        return value.pipeline if isinstance(value, tree.Subquery) else value

    def _source(self) -> tree.Expression | tree.Operator:
        row = self.source_operator()
        if row is not None:
            return row.parse(self, self.operator_name())
        if self.current.kind in ("string", "long", "real", "timespan", "typed"):
            self.fail("expected a table, a let name or a source operator")
        return self.postfix()

    def source_operator(self) -> TabularOperator | None:
        """The source operator that begins at the next token, if one does; refuses by name what we do not have."""
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
        if after.text == "(" and token.text in ("range", "evaluate"):
            return None
        if row is None:
            raise unsupported(f"the operator '{token.text}'", token.at, token.text)
        return row

    def operators_after(self, source: tree.Expression | tree.Operator) -> tree.Pipeline:
        """The operators that follow a source."""
        return tree.Pipeline(source.at, source, self._operators_of(started=False))

    def operators_here(self) -> tuple[tree.Operator, ...]:
        """The operators of a subquery without a source, as mv-apply has them."""
        return self._operators_of(started=True)

    def _operators_of(self, *, started: bool) -> tuple[tree.Operator, ...]:
        operators: list[tree.Operator] = []
        while started or self.accept("|"):
            started = False
            self.operator_count += 1
            if self.operator_count > limits.OPERATORS.value:
                raise over_limit(f"the query has more than {limits.OPERATORS.value} operators", self.current.at)
            name = self.operator_name()
            row = self._operators.get(name.text)
            if row is None:
                raise self._unknown_operator(name)
            operators.append(row.parse(self, name))
        return tuple(operators)

    def _unknown_operator(self, name: Token) -> Problem:
        if name.text in TABULAR_OPERATORS:
            return unsupported(f"the operator '{name.text}'", name.at, name.text)
        hint = nearest(name.text, [*self._operators, *TABULAR_OPERATORS])
        return Problem("syntax", SYNTAX_TOKEN, "unknown operator", name.at, name.text, hint)
