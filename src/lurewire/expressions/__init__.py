"""The template expression language: one grammar for ARM `[...]` and workflows `@...`, tables of functions for each."""

from lurewire.expressions.common import COMMON
from lurewire.expressions.errors import ExpressionError, FunctionError
from lurewire.expressions.evaluator import check, evaluate, pointer
from lurewire.expressions.moments import TICKS_PER_DAY, TICKS_PER_SECOND, Moment, MomentError
from lurewire.expressions.parser import Access, Call, Literal, Node, Syntax, Template, parse, references
from lurewire.expressions.table import Function, FunctionTable
from lurewire.expressions.values import equal
from lurewire.expressions.workflow import UNSUPPORTED, WORKFLOW

__all__ = [
    "COMMON",
    "TICKS_PER_DAY",
    "TICKS_PER_SECOND",
    "UNSUPPORTED",
    "WORKFLOW",
    "Access",
    "Call",
    "ExpressionError",
    "Function",
    "FunctionError",
    "FunctionTable",
    "Literal",
    "Moment",
    "MomentError",
    "Node",
    "Syntax",
    "Template",
    "check",
    "equal",
    "evaluate",
    "parse",
    "pointer",
    "references",
]
