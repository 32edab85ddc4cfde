"""Resource ids from types and names, as templates write them.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource#resourceid
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class WrongSegments(ValueError):
    """A type and its names do not have the same number of segments."""


def provider_path(resource_type: str, names: Sequence[str]) -> str:
    """`/providers/` with the type's segments and the names between them.

    In the older form of extension resources the segment `providers` of the type stands where the names have the next
    namespace: type `A/b/providers/c`, names `x`, `D`, `y` is `/providers/A/b/x/providers/D/c/y`.
    """
    namespace, *kinds = resource_type.strip("/").split("/")
    if not kinds or not all(kinds) or not namespace:
        message = f"'{resource_type}' is no resource type: it has the form Namespace/type"
        raise WrongSegments(message)
    if len(kinds) != len(names):
        message = (
            f"the type '{resource_type}' takes {len(kinds)} names, and there are {len(names)}: '{'/'.join(names)}'"
        )
        raise WrongSegments(message)
    if not all(names):
        message = f"a name of the type '{resource_type}' is empty"
        raise WrongSegments(message)
    pairs = "/".join(f"{kind}/{name}" for kind, name in zip(kinds, names, strict=True))
    return f"/providers/{namespace}/{pairs}"
