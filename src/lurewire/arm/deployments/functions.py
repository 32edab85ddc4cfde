"""The functions of ARM templates, beside those that workflows share: a registry.

Source of each row: its URL, below https://learn.microsoft.com/azure/azure-resource-manager/templates/
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from lurewire.arm.deployments.budget import CALL, size_of
from lurewire.arm.deployments.data import DATA, formatted
from lurewire.arm.deployments.hashing import arm_guid, unique_string
from lurewire.arm.deployments.lambdas import LAMBDAS
from lurewire.arm.deployments.loops import UNNAMED
from lurewire.arm.deployments.naming import WrongSegments, provider_path
from lurewire.expressions import COMMON, Function, FunctionError, FunctionTable, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.arm.deployments.context import Context, Runtime

_DOC = "https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions"


def _texts(arguments: Sequence[Any]) -> list[str]:
    for index, value in enumerate(arguments):
        if not isinstance(value, str):
            raise FunctionError(f"expects its parameter number {index + 1} to be a string.")
    return list(arguments)


def _parameters(context: Context, arguments: list[Any]) -> Any:
    return context.named(context.parameters, _texts(arguments)[0])


def _variables(context: Context, arguments: list[Any]) -> Any:
    return context.named(context.variables, _texts(arguments)[0])


def _at_scope(value: dict[str, Any] | None, scope: str) -> dict[str, Any]:
    if value is None:
        raise FunctionError(f"is not expected at this location: the deployment is not at the scope of a {scope}.")
    return value


def _resource_group(context: Context, _arguments: list[Any]) -> Any:
    return _at_scope(context.group, "resource group")


def _subscription(context: Context, _arguments: list[Any]) -> Any:
    return _at_scope(context.subscription, "subscription")


def _management_group(context: Context, _arguments: list[Any]) -> Any:
    return _at_scope(context.management_group, "management group")


def _environment(context: Context, _arguments: list[Any]) -> Any:
    return context.environment


def _tenant(context: Context, _arguments: list[Any]) -> Any:
    return {"tenantId": context.tenant_id}


def _deployment(context: Context, _arguments: list[Any]) -> Any:
    return context.deployment


def _named(resource_type: str, names: list[str]) -> str:
    try:
        return provider_path(resource_type, names)
    except WrongSegments as error:
        raise FunctionError(f"cannot build an id: {error}.") from None


def _resource_id(context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    at = next((i for i, text in enumerate(texts[:3]) if "/" in text), None)
    if at is None:
        raise FunctionError("expects a resource type, in the form Namespace/type, among its first three parameters.")
    before, resource_type, names = texts[:at], texts[at], texts[at + 1 :]
    if not before:
        return context.prefix + _named(resource_type, names)
    if context.group is None and len(before) == 1:
        return f"/subscriptions/{before[0]}{_named(resource_type, names)}"  # as at the scope of a subscription
    subscription = before[0] if len(before) == 2 else _subscription(context, [])["subscriptionId"]
    return f"/subscriptions/{subscription}/resourceGroups/{before[-1]}{_named(resource_type, names)}"


def _subscription_resource_id(context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    subscription = texts.pop(0) if "/" not in texts[0] else _subscription(context, [])["subscriptionId"]
    if not texts:
        raise FunctionError("expects a resource type and its names.")
    return f"/subscriptions/{subscription}{_named(texts[0], texts[1:])}"


def _tenant_resource_id(_context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    return _named(texts[0], texts[1:])


def _extension_resource_id(_context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    return texts[0].rstrip("/") + _named(texts[1], texts[2:])


def _management_group_resource_id(context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    name = texts.pop(0) if "/" not in texts[0] else _management_group(context, [])["name"]
    if not texts:
        raise FunctionError("expects a resource type and its names.")
    return f"/providers/Microsoft.Management/managementGroups/{name}{_named(texts[0], texts[1:])}"


def _runtime(context: Context) -> Runtime:
    if context.runtime is None:
        raise FunctionError(
            "is not expected at this location: it may stand in the properties of a resource and in outputs."
        )
    return context.runtime


def _full(texts: list[str], at: int) -> bool:
    if len(texts) <= at:
        return False
    if texts[at].lower() != "full":
        raise FunctionError(f"expects its parameter number {at + 1} to be 'Full'.")
    return True


def _reference(context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    return _runtime(context).reference(texts[0], texts[1] if len(texts) > 1 else None, _full(texts, 2))


def _references(context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    return _runtime(context).references(texts[0], _full(texts, 1))


def _listing(name: str) -> Function[Context]:
    def call(context: Context, arguments: list[Any]) -> Any:
        resource, version = _texts(arguments[:2])
        runtime = _runtime(context)
        context.secret = True  # what lists keys is as secret as they are
        return runtime.listing(name, resource, version, arguments[2] if len(arguments) > 2 else None)

    return Function(name, 2, 3, call, f"{_DOC}-resource#list")


def _copy_index(context: Context, arguments: list[Any]) -> Any:
    name, offset = UNNAMED, 0
    for argument in arguments:
        if isinstance(argument, str):
            name = argument
        elif isinstance(argument, int) and not isinstance(argument, bool):
            offset = argument
        else:
            raise FunctionError("expects the name of a loop, an offset as integer, or both.")
    if name.lower() not in context.loops:
        what = f"no loop '{name}' is around it" if name else "no resource loop is around it"
        raise FunctionError(f"is not expected at this location: {what}.")
    return context.loops[name.lower()] + offset


def _providers(context: Context, arguments: list[Any]) -> Any:
    texts = _texts(arguments)
    if context.providers is None:
        raise FunctionError("is not expected at this location.")
    return context.providers(texts[0], texts[1] if len(texts) > 1 else None)


def _guid(_context: Context, arguments: list[Any]) -> Any:
    return arm_guid(_texts(arguments))


def _unique_string(_context: Context, arguments: list[Any]) -> Any:
    return unique_string(_texts(arguments))


def _concat(_context: Context, arguments: list[Any]) -> Any:
    if all(isinstance(value, list) for value in arguments):
        return [item for value in arguments for item in value]
    if any(isinstance(value, list | dict) for value in arguments):
        raise FunctionError("expects all its parameters to be strings, or all to be arrays.")
    return "".join(_plain(value) for value in arguments)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    return "" if value is None else str(value)


def _format(_context: Context, arguments: list[Any]) -> Any:
    pattern, values = _texts(arguments[:1])[0], arguments[1:]

    def insert(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] is None:
            raise FunctionError(f"was invoked with a format that is not supported, at '{match[0]}': '{{0}}' is.")
        index = int(match[1])
        if index >= len(values):
            raise FunctionError(f"was invoked with a format that names value {index}; there are {len(values)} values.")
        if isinstance(values[index], list | dict):
            raise FunctionError(f"cannot format value {index}: it is neither a string, nor a number, nor a Boolean.")
        return _plain(values[index])

    return re.sub(r"\{\{|\}\}|\{(\d{1,3})\}|\{[^}]*\}?|\}", insert, pattern)


def _length(_context: Context, arguments: list[Any]) -> Any:
    if not isinstance(arguments[0], str | list | dict):
        raise FunctionError("expects its parameter to be a string, an array or an object.")
    return len(arguments[0])


def _create_object(_context: Context, arguments: list[Any]) -> Any:
    if len(arguments) % 2:
        raise FunctionError("expects pairs of a property's name and its value.")
    return dict(zip(_texts(arguments[::2]), arguments[1::2], strict=True))


def _pad_left(_context: Context, arguments: list[Any]) -> Any:
    text, width = arguments[0], arguments[1]
    fill = _texts(arguments[2:])[0] if len(arguments) > 2 else " "
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str) or not isinstance(width, int) or isinstance(width, bool) or len(fill) != 1:
        raise FunctionError("expects a string or an integer, a length, and one character.")
    if width > _LONGEST_PADDING:
        raise FunctionError(f"pads to at most {_LONGEST_PADDING} characters.")
    return text.rjust(width, fill)


_LONGEST_PADDING = 131_072


def _uri(_context: Context, arguments: list[Any]) -> Any:
    base, relative = _texts(arguments)
    return urljoin(base, relative)


def _constant(value: Any) -> Callable[[Context, list[Any]], Any]:
    return lambda _context, _arguments: value


def _new_guid(_context: Context, _arguments: list[Any]) -> Any:
    return str(uuid.uuid4())


def _utc_now(context: Context, arguments: list[Any]) -> Any:
    return formatted(Moment.of(context.now), arguments[0] if arguments else "yyyyMMddTHHmmssZ")


_SCOPE, _RESOURCE, _STRING = f"{_DOC}-scope", f"{_DOC}-resource", f"{_DOC}-string"

ARM_FUNCTIONS: tuple[Function[Context], ...] = (
    Function("parameters", 1, 1, _parameters, f"{_DOC}-deployment#parameters"),
    Function("variables", 1, 1, _variables, f"{_DOC}-deployment#variables"),
    Function("deployment", 0, 0, _deployment, f"{_DOC}-deployment#deployment"),
    Function("resourceGroup", 0, 0, _resource_group, f"{_SCOPE}#resourcegroup"),
    Function("subscription", 0, 0, _subscription, f"{_SCOPE}#subscription"),
    Function("tenant", 0, 0, _tenant, f"{_SCOPE}#tenant"),
    Function("resourceId", 2, None, _resource_id, f"{_RESOURCE}#resourceid"),
    Function("subscriptionResourceId", 2, None, _subscription_resource_id, f"{_RESOURCE}#subscriptionresourceid"),
    Function("tenantResourceId", 2, None, _tenant_resource_id, f"{_RESOURCE}#tenantresourceid"),
    Function("extensionResourceId", 3, None, _extension_resource_id, f"{_RESOURCE}#extensionresourceid"),
    Function(
        "managementGroupResourceId", 2, None, _management_group_resource_id, f"{_RESOURCE}#managementgroupresourceid"
    ),
    Function("managementGroup", 0, 0, _management_group, f"{_SCOPE}#managementgroup"),
    Function("environment", 0, 0, _environment, f"{_DOC}-deployment#environment"),
    Function("providers", 1, 2, _providers, f"{_RESOURCE}#providers"),
    Function("reference", 1, 3, _reference, f"{_RESOURCE}#reference"),
    Function("references", 1, 2, _references, f"{_RESOURCE}#references"),
    *(_listing(name) for name in ("list", "listKeys", "listSecrets", "listCallbackUrl", "listAccountSas")),
    Function("copyIndex", 0, 2, _copy_index, f"{_DOC}-numeric#copyindex"),
    Function("guid", 1, None, _guid, f"{_STRING}#guid"),
    Function("uniqueString", 1, None, _unique_string, f"{_STRING}#uniquestring"),
    Function("concat", 1, None, _concat, f"{_STRING}#concat"),
    Function("format", 1, None, _format, f"{_STRING}#format"),
    Function("padLeft", 2, 3, _pad_left, f"{_STRING}#padleft"),
    Function("uri", 2, 2, _uri, f"{_STRING}#uri"),
    Function("length", 1, 1, _length, f"{_DOC}-array#length"),
    Function("createObject", 0, None, _create_object, f"{_DOC}-object#createobject"),
    Function("null", 0, 0, _constant(None), f"{_DOC}-object#null"),
    Function("true", 0, 0, _constant(True), f"{_DOC}-logical#true"),
    Function("false", 0, 0, _constant(False), f"{_DOC}-logical#false"),
    *DATA,
    *LAMBDAS,
)

DEFAULT_VALUE_FUNCTIONS: tuple[Function[Context], ...] = (
    Function("newGuid", 0, 0, _new_guid, f"{_STRING}#newguid"),
    Function("utcNow", 0, 1, _utc_now, f"{_DOC}-date#utcnow"),
)
"""What only the default value of a parameter may call, because each evaluation gives something else."""

UNSUPPORTED = (
    "buildUri",
    "cidrHost",
    "cidrSubnet",
    "deployer",
    "externalInput",
    "listServiceSas",
    "loadTextContent",
    "newGuid",
    "parseCidr",
    "parseUri",
    "pickZones",
    "resourceInfo",
    "toLogicalZone",
    "toPhysicalZone",
    "utcNow",
)
"""What Azure has and is refused here by name; `newGuid` and `utcNow` only outside of default values, as in Azure."""

_GIVE_WHAT_IS_THERE = frozenset({"parameters", "variables", "lambdavariables", "if"})
_COMPARE = frozenset({"equals", "string", "indexof", "lastindexof", "union", "intersection"})
"""Functions that go through all that is inside their arguments."""


def metered(row: Function[Context]) -> Function[Context]:
    """The function, each call paid for from the deployment's budget."""
    name = row.name.lower()

    def call(context: Context, arguments: list[Any]) -> Any:
        budget = context.budget
        budget.spend(CALL)
        for one in arguments:
            if name in _COMPARE:
                budget.spend(size_of(one))
            elif isinstance(one, str | list | dict):
                budget.spend(len(one))
        result = row.call(context, arguments)
        if name not in _GIVE_WHAT_IS_THERE:
            budget.spend_on(result)
            context.notice(arguments, result)
        return result

    return replace(row, call=call)


_ALL: tuple[Function[Context], ...] = (*COMMON, *ARM_FUNCTIONS)
METERED = tuple(metered(row) for row in _ALL)

TEMPLATE_FUNCTIONS: FunctionTable[Context] = FunctionTable(METERED, UNSUPPORTED)
PARAMETER_FUNCTIONS: FunctionTable[Context] = FunctionTable((*METERED, *DEFAULT_VALUE_FUNCTIONS), UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """What gives the value of a template's expressions."""

    context: Context

    def __call__(self, value: Any, where: str) -> Any:
        """The value; raises `InvalidTemplate`."""
        return self.context.watch(value, TEMPLATE_FUNCTIONS, where).value

    def spend(self, units: int, where: str) -> None:
        """Pay for work on the template; raises `InvalidTemplate`."""
        self.context.spend(units, where)
