"""Types of parameters, outputs and functions, those too that a template defines itself.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/definitions. A `$ref` may go into a
definition, as in `#/definitions/a/properties/b`, and may stand beside constraints of its own: both hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.budget import NODE
from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import pointer

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGE_VERSION = "2.0"
"""The language version that has definitions, and resources as an object of symbolic names."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of the language: its name as Azure shows it, whether it is secure, and what fits it."""

    shown: str
    secure: bool
    fits: Callable[[Any], bool]


def is_int(value: Any) -> bool:
    """Whether a value is an integer of the language, in which true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


KINDS: dict[str, Kind] = {
    "string": Kind("String", secure=False, fits=lambda value: isinstance(value, str)),
    "securestring": Kind("SecureString", secure=True, fits=lambda value: isinstance(value, str)),
    "int": Kind("Int", secure=False, fits=is_int),
    "bool": Kind("Bool", secure=False, fits=lambda value: isinstance(value, bool)),
    "object": Kind("Object", secure=False, fits=lambda value: isinstance(value, dict)),
    "secureobject": Kind("SecureObject", secure=True, fits=lambda value: isinstance(value, dict)),
    "array": Kind("Array", secure=False, fits=lambda value: isinstance(value, list)),
}

_DEEPEST = 50
"""Types that one may rest on, each on the next, by `$ref` and by discriminator: no figure is documented."""

BOUNDS = ("minLength", "maxLength", "minValue", "maxValue")

_ALWAYS = frozenset({"type", "allowedValues", "nullable", "metadata", *BOUNDS})
_OF_DEFINITIONS = frozenset(
    {"$ref", "properties", "required", "additionalProperties", "sealed", "items", "prefixItems", "discriminator"}
)
_REFERENCE = "#/definitions/"
_ARRAY_PLACE = re.compile(r"\d{1,6}")


@dataclass(eq=False)
class Type:
    """A type as it is declared at one place; what is None there says nothing.

    `target` is the type that `$ref` names, which holds too. `others` is the type of the properties beside `properties`,
    `rest` that of the items after `prefix`; false where there may be none. `variants` are the types by the value of the
    property `discriminator`. `secure` are all secure types of the template; `depth` is how many types this one rests on.
    """

    where: str
    secure: list[Type]
    own_kind: Kind | None = None
    own_nullable: bool | None = None
    allowed: list[Any] | None = None
    bounds: dict[str, int] = field(default_factory=dict)
    properties: dict[str, Type] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    others: Type | bool | None = None
    prefix: tuple[Type, ...] = ()
    rest: Type | bool | None = None
    discriminator: str | None = None
    variants: dict[str, Type] = field(default_factory=dict)
    target: Type | None = None
    depth: int = 0

    @cached_property
    def by_name(self) -> dict[str, Type]:
        """The types of the properties by their names in lower case: the language reads properties without case."""
        return {name.lower(): one for name, one in self.properties.items()}

    @cached_property
    def chain(self) -> tuple[Type, ...]:
        """The type and those that its `$ref` leads to: a value must fit all of them."""
        found = [self]
        while (target := found[-1].target) is not None:
            found.append(target)
        return tuple(found)

    @cached_property
    def kind(self) -> Kind | None:
        """What the language calls it; None for any."""
        return next((one.own_kind for one in self.chain if one.own_kind is not None), None)

    @cached_property
    def nullable(self) -> bool:
        """Whether null, or nothing, may stand for a value; the nearest declaration decides."""
        return next((one.own_nullable for one in self.chain if one.own_nullable is not None), False)


class Types:
    """Reads the types of one template; `spend` is told what that costs and where, and may raise `InvalidTemplate`."""

    def __init__(self, template: dict[str, Any], spend: Callable[[int, str], None]) -> None:
        """Read the template's definitions; raises `InvalidTemplate`."""
        self._spend = spend
        self._has_definitions = template.get("languageVersion") == LANGUAGE_VERSION
        self._definitions = template.get("definitions")
        if self._definitions is None:
            self._definitions = {}
        elif not self._has_definitions:
            raise InvalidTemplate.at("/definitions", f"'definitions' needs languageVersion {LANGUAGE_VERSION}")
        if not isinstance(self._definitions, dict):
            raise InvalidTemplate.at("/definitions", "'definitions' must be an object")
        self._references: dict[str, Type] = {}
        self._open: list[tuple[Type, str]] = []
        self._secure: list[Type] = []
        self._sound: set[Type] = set()
        for name in self._definitions:
            self._referred(f"{_REFERENCE}{pointer(name)}", "/definitions")
        self._close(list(self._references.values()))

    def read(self, raw: dict[str, Any], where: str, beside: frozenset[str] = frozenset()) -> Type:
        """The type that is declared at a place, where `beside` may stand too; raises `InvalidTemplate`."""
        made = self._type(raw, where, beside)
        self._close([made])
        return made

    def _type(self, raw: Any, where: str, beside: frozenset[str]) -> Type:
        if not isinstance(raw, dict):
            raise InvalidTemplate.at(where, "a type must be an object")
        self._spend(NODE, where)
        self._check_names(raw, where, beside)
        made = Type(where, self._secure)
        if raw.get("type") is not None:
            made.own_kind = KINDS.get(str(raw["type"]).lower())
            if made.own_kind is None:
                kinds = ", ".join(kind.shown for kind in KINDS.values())
                raise InvalidTemplate.at(where, f"the type '{str(raw['type'])[:100]}' is not one of {kinds}")
            if made.own_kind.secure:
                self._secure.append(made)
        if raw.get("$ref") is not None:
            if made.own_kind is not None:
                raise InvalidTemplate.at(where, "a type has either a 'type' or a '$ref'")
            self._open.append((made, str(raw["$ref"])))
        made.own_nullable = _of(bool, raw, "nullable", where, "true or false")
        made.allowed = _of(list, raw, "allowedValues", where, "an array")
        for name in BOUNDS:
            if raw.get(name) is not None:
                if not is_int(raw[name]):
                    raise InvalidTemplate.at(f"{where}/{name}", f"'{name}' must be an integer")
                made.bounds[name] = raw[name]
        self._object(made, raw)
        self._array(made, raw)
        return made

    def _check_names(self, raw: dict[str, Any], where: str, beside: frozenset[str]) -> None:
        for name in sorted(raw):
            if name in _OF_DEFINITIONS and not self._has_definitions:
                raise InvalidTemplate.at(f"{where}/{name}", f"'{name}' needs languageVersion {LANGUAGE_VERSION}")
            if name not in _ALWAYS | _OF_DEFINITIONS | beside:
                raise InvalidTemplate.at(where, f"'{name[:100]}' is not supported in a type")

    def _object(self, made: Type, raw: dict[str, Any]) -> None:
        where = made.where
        made.properties = self._named(_of(dict, raw, "properties", where, "an object"), f"{where}/properties")
        if len(made.by_name) != len(made.properties):
            raise InvalidTemplate.at(f"{where}/properties", "two properties differ only in case")
        made.others = self._type_or_bool(raw, "additionalProperties", where)
        if _of(bool, raw, "sealed", where, "true or false"):
            if made.others not in (None, False):
                raise InvalidTemplate.at(f"{where}/sealed", "a sealed type has no 'additionalProperties'")
            made.others = False
        required = _of(list, raw, "required", where, "an array of names") or []
        if not all(isinstance(name, str) for name in required):
            raise InvalidTemplate.at(f"{where}/required", "'required' must be an array of names")
        made.required = tuple(required)
        discriminator = _of(dict, raw, "discriminator", where, "an object")
        if discriminator is None:
            return
        place, name = f"{where}/discriminator", discriminator.get("propertyName")
        if set(discriminator) != {"propertyName", "mapping"} or not isinstance(name, str):
            raise InvalidTemplate.at(place, "a discriminator has the form {propertyName, mapping}")
        made.discriminator = name
        mapping = _of(dict, discriminator, "mapping", place, "an object")
        made.variants = self._named(mapping, f"{place}/mapping")

    def _array(self, made: Type, raw: dict[str, Any]) -> None:
        prefix = _of(list, raw, "prefixItems", made.where, "an array of types") or []
        made.prefix = tuple(
            self._type(one, f"{made.where}/prefixItems/{at}", frozenset()) for at, one in enumerate(prefix)
        )
        made.rest = self._type_or_bool(raw, "items", made.where)

    def _named(self, raw: dict[str, Any] | None, where: str) -> dict[str, Type]:
        return {name: self._type(one, f"{where}/{pointer(name)}", frozenset()) for name, one in (raw or {}).items()}

    def _type_or_bool(self, raw: dict[str, Any], name: str, where: str) -> Type | bool | None:
        value = raw.get(name)
        return value if value is None or isinstance(value, bool) else self._type(value, f"{where}/{name}", frozenset())

    def _referred(self, reference: str, where: str) -> Type:
        known = self._references.get(reference)
        if known is not None:
            return known
        if not reference.startswith(_REFERENCE):
            raise InvalidTemplate.at(where, f"the '$ref' '{reference[:200]}' does not begin with {_REFERENCE}")
        raw: Any = self._definitions
        for step in reference.removeprefix(_REFERENCE).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(raw, dict) and name in raw:
                raw = raw[name]
            elif isinstance(raw, list) and _ARRAY_PLACE.fullmatch(name) and int(name) < len(raw):
                raw = raw[int(name)]
            else:
                raise InvalidTemplate.at(where, f"the template has no type '{reference[:200]}'")
        # The documentation has a definition with a default value, which is that of no parameter.
        made = self._references[reference] = self._type(raw, reference.removeprefix("#"), frozenset({"defaultValue"}))
        return made

    def _close(self, made: list[Type]) -> None:
        """Find what every `$ref` names; refuse types that rest on themselves."""
        while self._open:
            one, reference = self._open.pop()
            one.target = self._referred(reference, f"{one.where}/$ref")
            made.append(one)
        bases: dict[Type, list[Type]] = {}
        pending = made
        while pending:
            one = pending.pop()
            if one not in bases and one not in self._sound:
                bases[one] = [*one.variants.values(), *([one.target] if one.target else [])]
                pending += bases[one]
        try:
            for one in TopologicalSorter(bases).static_order():
                if one in bases:  # others are known from before
                    one.depth = max((base.depth + 1 for base in bases[one]), default=0)
                if one.depth > _DEEPEST:
                    raise InvalidTemplate.at(
                        one.where, f"the type rests on more than {_DEEPEST} others, each on the next"
                    )
        except CycleError as error:
            [where, *_] = sorted(one.where for one in error.args[1])
            raise InvalidTemplate.at(where, "the type rests on itself") from None
        self._sound.update(bases)


def _of(kind: type, raw: dict[str, Any], name: str, where: str, wanted: str) -> Any:
    value = raw.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidTemplate.at(f"{where}/{name}", f"'{name}' must be {wanted}")
    return value
