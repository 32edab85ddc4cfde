"""JSON Schemas of Parse JSON and of Request triggers: compiled once, never fetched from anywhere.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-perform-data-operations#parse-json-action
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from lurewire.expressions import FunctionTable, Syntax, evaluate

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from lurewire.playbooks.checks import Check

_MOST_ERRORS = 100
_NO_FUNCTIONS: FunctionTable[None] = FunctionTable(())


class Schema:
    """A schema; draft 4 where it does not say. `$ref` reaches its own document only."""

    def __init__(self, schema: Any, check: Check, place: str) -> None:
        if not isinstance(schema, dict | bool):
            check.refuse("a schema must be an object", place)
        check.constant(schema, place)
        plain = evaluate(schema, _NO_FUNCTIONS, None, Syntax.WORKFLOW)  # `@@odata.type` is an escaped name
        validator = validator_for(plain, default=Draft4Validator)
        try:
            validator.check_schema(plain)
        except SchemaError as error:
            at = "/".join(str(part) for part in error.absolute_path)
            check.refuse(f"the JSON schema is not valid at '{at}': {error.message[:300]}", place)
        self._validator = validator(plain, registry=Registry())

    def errors(self, value: Any) -> list[dict[str, Any]]:
        """What is wrong with `value`: `message`, `path` in the value, `schemaId` and `errorType`; empty: nothing."""
        try:
            found = []
            for error in self._validator.iter_errors(value):
                found.append(_described(error))
                if len(found) == _MOST_ERRORS:
                    break
        except Unresolvable as error:
            return [{"message": f"The schema refers to '{error.ref}', which it does not hold.", "errorType": "$ref"}]
        except RecursionError:
            return [{"message": "The value is nested too deep.", "errorType": "depth"}]
        return found


def _described(error: ValidationError) -> dict[str, Any]:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    schema = "/".join(str(part) for part in list(error.absolute_schema_path)[:-1])
    return {
        "message": error.message[:500],
        "path": path.removeprefix("."),
        "schemaId": f"#/{schema}",
        "errorType": str(error.validator),
    }
