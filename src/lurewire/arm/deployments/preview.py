"""A deployment that is not run yet: every question about a resource is answered by which one it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from lurewire.arm.deployments.context import Context, Runtime
from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.plan import NotDeployedYet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.arm.deployments.plan import Directory

ELSEWHERE = -1
"""Among the places that expressions wait for: a resource that is in no template."""


class _AllOf(NotDeployedYet):
    def __init__(self, places: set[int]) -> None:
        super().__init__(None)
        self.places = places


def preview(directory: Directory) -> Runtime:
    """Answers each `reference` with `NotDeployedYet`."""

    def reference(text: str, _api_version: str | None, _full: bool) -> NoReturn:
        raise NotDeployedYet(directory.find(text))

    def references(text: str, _full: bool) -> NoReturn:
        raise _AllOf(set(directory.of_loop(text)))

    def listing(_name: str, text: str, _api_version: str, _value: Any) -> NoReturn:
        raise NotDeployedYet(directory.find(text))

    return Runtime(reference, references, listing)


def referred(found: Iterator[tuple[str, str]], context: Context) -> set[int]:
    """What the strings wait for; each is evaluated by itself, so that none hides what is wrong with another."""
    needs = set[int]()
    for value, where in found:
        try:
            context.watch(value, TEMPLATE_FUNCTIONS, where)
        except _AllOf as signal:
            needs |= signal.places
        except NotDeployedYet as signal:
            needs.add(ELSEWHERE if signal.index is None else signal.index)
    return needs
