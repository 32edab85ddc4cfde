"""A deployment's parameters: supplied values, defaults and key vault references, checked against their declarations.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/parameters
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.conformity import Mismatch, check_value, secure_parts
from lurewire.arm.deployments.context import Names, Value
from lurewire.arm.deployments.functions import PARAMETER_FUNCTIONS
from lurewire.arm.errors import InvalidTemplate
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.expressions import FunctionError, Syntax, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lurewire.arm.deployments.context import Context
    from lurewire.arm.deployments.definitions import Kind, Type, Types

_BESIDE = frozenset({"defaultValue"})
"""What a parameter has beside its type."""


@dataclass(frozen=True, slots=True)
class VaultReference:
    """A parameter's value as the secret of a vault."""

    vault: ResourceId
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter with what the deployment supplies for it; `given` is None where nothing is.

    `secret` is one whose value comes from a secure parameter of the template around this one.
    """

    name: str
    kind: Kind
    type: Type
    declaration: dict[str, Any]
    given: dict[str, Any] | None
    reference: VaultReference | None
    secret: bool = False

    @property
    def where(self) -> str:
        """Where in the template it is declared."""
        return f"/parameters/{self.name}"


def declared(
    template: dict[str, Any], types: Types, supplied: Any, secret: frozenset[str] = frozenset()
) -> list[Parameter]:
    """The template's parameters; raises `InvalidTemplate` where supplied and declared ones do not meet.

    `secret` are the names, in lower case, of those that are given something secret.
    """
    declarations = template.get("parameters") or {}
    given = supplied or {}
    if not isinstance(declarations, dict) or not isinstance(given, dict):
        raise InvalidTemplate("Deployment template validation failed: parameters must be an object.")
    names = {name.lower() for name in declarations}
    if len(names) != len(declarations):
        raise InvalidTemplate("Deployment template validation failed: two parameters differ only in case.")
    unknown = [name for name in given if name.lower() not in names]
    if unknown:
        message = (
            "Deployment template validation failed: 'The following parameters were supplied, but do not correspond to "
            f"any parameters defined in the template: '{', '.join(unknown)}'. The parameters defined in the template "
            f"are: '{', '.join(declarations)}'.'"
        )
        raise InvalidTemplate(message)
    by_name = {name.lower(): value for name, value in given.items()}
    return [
        _parameter(name, one, types, by_name.get(name.lower()), secret=name.lower() in secret)
        for name, one in declarations.items()
    ]


def _parameter(name: str, declaration: Any, types: Types, given: Any, *, secret: bool) -> Parameter:
    where = f"/parameters/{name}"
    if not isinstance(declaration, dict):
        raise InvalidTemplate.at(where, "a parameter must be an object with a type")
    of = types.read(declaration, where, _BESIDE)
    kind = of.kind
    if kind is None:
        raise InvalidTemplate.at(where, "a parameter needs a 'type', or a '$ref' to a definition that has one")
    if given is None:
        return Parameter(name, kind, of, declaration, None, None)
    if not isinstance(given, dict) or not ("value" in given) ^ ("reference" in given):
        raise InvalidTemplate.at(where, "what is supplied must be an object with either 'value' or 'reference'")
    reference = _reference(where, kind, given["reference"]) if "reference" in given else None
    return Parameter(name, kind, of, declaration, given, reference, secret)


def _reference(where: str, kind: Kind, reference: Any) -> VaultReference:
    """Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/key-vault-parameter."""
    if not kind.secure:
        raise InvalidTemplate.at(where, f"a key vault reference needs a secure type, and this one is '{kind.shown}'")
    try:
        vault = ResourceId.parse(reference["keyVault"]["id"])
        name, version = reference["secretName"], reference.get("secretVersion") or ""
    except (KeyError, TypeError, AttributeError, InvalidResourceId):
        raise InvalidTemplate.at(
            where, "a key vault reference has the form {keyVault: {id}, secretName, secretVersion?}"
        ) from None
    if not isinstance(name, str) or not isinstance(version, str):
        raise InvalidTemplate.at(where, "the secret's name and version must be strings")
    return VaultReference(vault, name, version)


def resolve(
    parameters: list[Parameter], context: Context, read_secret: Callable[[Parameter, VaultReference], str]
) -> dict[str, Value]:
    """Give every parameter its value, in `context` too; raises `InvalidTemplate`, and what `read_secret` raises."""
    for parameter in parameters:
        where = f"{parameter.where}/defaultValue"
        wrong = next(check(parameter.declaration.get("defaultValue"), PARAMETER_FUNCTIONS, Syntax.ARM, where), None)
        if wrong is not None:
            raise InvalidTemplate(f"Deployment template validation failed: {wrong}", target=wrong.where)

    def source(parameter: Parameter) -> Callable[[], Value]:
        return lambda: _value(parameter, context, read_secret)

    context.parameters = Names("parameter", {p.name.lower(): source(p) for p in parameters})
    return {parameter.name: context.parameters.get(parameter.name) for parameter in parameters}


def _value(parameter: Parameter, context: Context, read_secret: Callable[[Parameter, VaultReference], str]) -> Value:
    secret = parameter.kind.secure or parameter.secret
    if parameter.reference is not None:
        value: Any = read_secret(parameter, parameter.reference)
    elif parameter.given is not None:
        value = parameter.given["value"]
    elif "defaultValue" in parameter.declaration:
        default = context.watch(
            parameter.declaration["defaultValue"], PARAMETER_FUNCTIONS, f"{parameter.where}/defaultValue", parts=False
        )
        value, secret = default.value, secret or default.secret
    elif parameter.type.nullable:
        return Value(None, secret)
    else:
        message = (
            f"Deployment template validation failed: 'The value for the template parameter '{parameter.name}' is not "
            "provided. Please see https://aka.ms/arm-create-parameter-file for usage details.'"
        )
        raise InvalidTemplate(message, target=parameter.where)
    _check(parameter, value, context, secret=secret)
    return Value(value, secret)


def secure_defaults(parameters: list[Parameter], context: Context) -> Iterator[Any]:
    """What of the default values, as the template has them, is of a secure type; raises `InvalidTemplate`."""
    for parameter in parameters:

        def spend(units: int, where: str = f"{parameter.where}/defaultValue") -> None:
            context.spend(units, where)

        yield from secure_parts(parameter.declaration.get("defaultValue"), parameter.type, spend)


def _check(parameter: Parameter, value: Any, context: Context, *, secret: bool) -> None:
    try:
        check_value(value, parameter.type, context.budget.spend)
        context.hide(() if secret else secure_parts(value, parameter.type, context.budget.spend))
    except Mismatch as wrong:
        # Neither values nor, in what is secret, names are repeated.
        place = f" at '{wrong.path}'" if wrong.path and not secret else ""
        raise InvalidTemplate.at(parameter.where, f"the value{place} {wrong.problem}") from None
    except FunctionError as error:
        raise InvalidTemplate.at(parameter.where, f"checking the value {error.detail}") from None
