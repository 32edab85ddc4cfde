"""Functions that mean the same in ARM templates and in workflow definitions.

Sources: https://learn.microsoft.com/azure/logic-apps/expression-functions-reference and
https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.expressions.functions.arithmetic import MATH
from lurewire.expressions.functions.collections import COLLECTIONS
from lurewire.expressions.functions.conversion import CONVERSION
from lurewire.expressions.functions.logic import LOGIC
from lurewire.expressions.functions.strings import STRINGS

if TYPE_CHECKING:
    from lurewire.expressions.table import Function

COMMON: tuple[Function[object], ...] = (*STRINGS, *COLLECTIONS, *LOGIC, *MATH, *CONVERSION)
