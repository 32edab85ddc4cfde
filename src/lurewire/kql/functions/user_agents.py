"""parse_user_agent(): browser, operating system and device of a user agent.

Source: https://learn.microsoft.com/kusto/query/parse-user-agent-function. The patterns are those of the uap-core project,
which the package ua-parser brings; it is optional, and its matcher in Rust takes time linear in the text.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.types import KqlType

from .common import scripted
from .registry import Function, Param, text

if TYPE_CHECKING:
    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder

#: Longest text that is looked at: no browser sends more.
_LONGEST = 8_192
_OTHER = "Other"


@cache
def _parser() -> Any:
    from ua_parser import Parser  # noqa: PLC0415 - optional
    from ua_parser.loaders import load_lazy_builtins  # noqa: PLC0415 - as above
    from ua_parser.regex import Resolver  # noqa: PLC0415 - as above

    return Parser(Resolver(load_lazy_builtins()))


#: What can be looked for: its name in the result, the parser's method, and the parts beside the family.
_TARGETS: dict[str, tuple[str, str, dict[str, str]]] = {
    "browser": (
        "Browser",
        "parse_user_agent",
        {"MajorVersion": "major", "MinorVersion": "minor", "Patch": "patch"},
    ),
    "os": (
        "OperatingSystem",
        "parse_os",
        {"MajorVersion": "major", "MinorVersion": "minor", "Patch": "patch", "PatchMinor": "patch_minor"},
    ),
    "device": ("Device", "parse_device", {"Brand": "brand", "Model": "model"}),
}


def _found(agent: str, method: str, parts: dict[str, str]) -> dict[str, str]:
    found = getattr(_parser(), method)(agent)
    shown = {label: getattr(found, name, None) or "" for label, name in parts.items()}
    return {"Family": found.family if found else _OTHER, **shown}


def _parse_user_agent(agent: str, looked_for: Any) -> dict[str, Any] | None:
    wanted = looked_for if isinstance(looked_for, list) else [looked_for]
    if not wanted or not all(isinstance(item, str) and item.lower() in _TARGETS for item in wanted):
        return None
    names = {item.lower() for item in wanted}
    return {
        label: _found(agent[:_LONGEST], method, parts)
        for name, (label, method, parts) in _TARGETS.items()
        if name in names
    }


def _check(target: str, node: tree.Call) -> None:
    if target.lower() not in _TARGETS:
        message = f"parse_user_agent(): it looks for {', '.join(_TARGETS)}, not for '{target}'"
        raise semantic(message, node.arguments[1].at, token=node.name)


def _bind(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    if importlib.util.find_spec("ua_parser") is None or importlib.util.find_spec("ua_parser_rs") is None:
        raise unsupported("the function 'parse_user_agent' without the package ua-parser[regex]", node.at, node.name)
    value = binder.plain_call(node, row)
    if not isinstance(value, plan.Call):
        return value
    looked_for = value.arguments[1]
    if isinstance(looked_for, plan.Constant) and looked_for.type is KqlType.STRING:
        _check(str(looked_for.value), node)
    return value


FUNCTIONS = (
    scripted(
        "parse_user_agent",
        _parse_user_agent,
        (text("user_agent"), Param("look_for", frozenset({KqlType.STRING, KqlType.DYNAMIC}))),
        KqlType.DYNAMIC,
        bind=_bind,
    ),
)
