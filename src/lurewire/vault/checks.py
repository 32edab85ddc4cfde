"""What a secret may look like: names, values, attributes and tags, from the data plane and from templates alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.vault.errors import BadParameter
from lurewire.vault.models import NewVersion

if TYPE_CHECKING:
    from lurewire.core.limits import Limits

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_LATEST = 253_402_300_799  # the year 9999


def check_name(name: str) -> str:
    """`name`, if a secret can have it; raises `BadParameter`."""
    if _NAME.fullmatch(name) is None:
        raise BadParameter("A secret's name has 1 to 127 letters, digits and hyphens.")
    return name


def new_version(source: dict[str, Any], limits: Limits) -> NewVersion:
    """A new version from `value`, `contentType`, `tags` and `attributes`; raises `BadParameter`, never with the value."""
    value = source.get("value")
    if not isinstance(value, str):
        raise BadParameter("Property 'value' is missing, or not a string.")
    if len(value.encode("utf-8")) > limits["vault.secret_bytes"]:
        raise BadParameter(f"The value is longer than the limit of {limits['vault.secret_bytes']} bytes.")
    changed = changes(source, limits)
    return NewVersion(
        changed.get("content_type"),
        changed.get("tags", {}),
        changed.get("enabled", True),
        changed.get("not_before"),
        changed.get("expires"),
        value,
    )


def changes(source: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """What `contentType`, `tags` and `attributes` say, as fields of `NewVersion`; what is not said is not there.

    Raises `BadParameter`.
    """
    content_type = source.get("contentType")
    if content_type is not None and not isinstance(content_type, str):
        raise BadParameter("Property 'contentType' must be a string.")
    attributes = {} if source.get("attributes") is None else source["attributes"]
    if not isinstance(attributes, dict):
        raise BadParameter("Property 'attributes' must be an object.")
    enabled = attributes.get("enabled")
    if not isinstance(enabled, bool | None):
        raise BadParameter("Property 'attributes.enabled' must be true or false.")
    said = {
        "content_type": content_type,
        "tags": None if source.get("tags") is None else _tags(source["tags"], limits),
        "enabled": enabled,
        "not_before": _time(attributes, "nbf"),
        "expires": _time(attributes, "exp"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _time(attributes: dict[str, Any], name: str) -> int | None:
    value = attributes.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST:
        raise BadParameter(f"Property 'attributes.{name}' must be a time in seconds since 1970.")
    return value


def _tags(tags: Any, limits: Limits) -> dict[str, str]:
    longest = limits["vault.tag_characters"]
    texts = [*tags, *tags.values()] if isinstance(tags, dict) else [None]
    if not all(isinstance(text, str) and len(text) <= longest for text in texts):
        raise BadParameter(f"Property 'tags' must be an object of strings with at most {longest} characters.")
    if len(tags) > limits["vault.tags"]:
        raise BadParameter(f"There are more than {limits['vault.tags']} tags.")
    return dict(tags)
