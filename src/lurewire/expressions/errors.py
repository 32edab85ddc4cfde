"""What goes wrong in an expression."""

from __future__ import annotations


class ExpressionError(Exception):
    """An expression cannot be parsed, names what does not exist, or cannot be evaluated.

    `code` is the code that Azure gives (`InvalidTemplate`), `message` the statement, `expression` the text that holds
    the mistake, `position` the 0-based character in it, `where` the path of the value in its document (empty: unknown).
    """

    def __init__(self, code: str, message: str, expression: str, position: int, where: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.expression = expression
        self.position = position
        self.where = where

    def __str__(self) -> str:
        shown = self.expression if len(self.expression) <= 500 else f"{self.expression[:500]}..."
        place = f" (position {self.position} of '{shown}'"
        return f"{self.message}{place}, at {self.where})" if self.where else f"{self.message}{place})"


class FunctionError(Exception):
    """A function refuses its arguments; `detail` reads on from "The template language function 'x' ".

    Functions raise it; the evaluator makes it an `ExpressionError` that names the function and the place.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
