"""Functions of workflow definitions that need no run: a run adds its own (`body`, `parameters`, `items` ...).

Source: https://learn.microsoft.com/azure/logic-apps/expression-functions-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.expressions.common import COMMON
from lurewire.expressions.functions.collections import WORKFLOW_COLLECTIONS
from lurewire.expressions.functions.conversion import WORKFLOW_CONVERSION
from lurewire.expressions.functions.dates import DATES, HasNow
from lurewire.expressions.functions.strings import WORKFLOW_STRINGS
from lurewire.expressions.functions.uris import URIS

if TYPE_CHECKING:
    from lurewire.expressions.table import Function

WORKFLOW: tuple[Function[HasNow], ...] = (
    *COMMON,
    *WORKFLOW_STRINGS,
    *WORKFLOW_COLLECTIONS,
    *WORKFLOW_CONVERSION,
    *DATES,
    *URIS,
)

UNSUPPORTED: tuple[str, ...] = (
    "action",
    "appsetting",
    "convertFromUtc",
    "convertTimeZone",
    "convertToUtc",
    "dataUriToBinary",
    "dataUriToString",
    "decimal",
    "decodeDataUri",
    "decodeXmlName",
    "decodeXmlValue",
    "encodeXmlName",
    "encodeXmlValue",
    "formDataMultiValues",
    "formDataValue",
    "formatNumber",
    "formatTimeSpan",
    "isFloat",
    "isInt",
    "mergeObjects",
    "multipartBody",
    "parseDateTime",
    "rand",
    "sort",
    "triggerFormDataMultiValues",
    "triggerFormDataValue",
    "triggerMultipartBody",
    "trimByteOrderMark",
    "uriComponentToBinary",
    "xml",
    "xpath",
)
"""Documented functions that no table has yet: refused by name when a definition is loaded."""
