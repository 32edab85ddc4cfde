"""Where an expression looks up actions: the run itself, and one frame for each iteration of each loop.

Inside a loop an action means this iteration's. From outside, an action in a For each means all its iterations, as an
array; an action in an Until means its last.
Source: https://learn.microsoft.com/azure/logic-apps/expression-functions-reference#body
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lurewire.playbooks.definition import Action
    from lurewire.playbooks.models import Record


class Frame:
    """One iteration of a loop, or (without `loop`) the run's top level: the records of its actions."""

    def __init__(
        self, parent: Frame | None = None, loop: Action | None = None, index: int = 0, item: Any = None
    ) -> None:
        self.parent = parent
        self.loop = loop
        self.item = item
        self.iteration: tuple[int, ...] = () if parent is None else (*parent.iteration, index)
        self.records: dict[str, Record] = {}
        self._inner: dict[str, dict[int, Frame]] = {}
        if parent is not None and loop is not None:
            parent._inner.setdefault(loop.name, {})[index] = self  # noqa: SLF001 - frames are one tree

    def enclosing(self, loop_name: str) -> Frame | None:
        """The innermost iteration of that loop (its name without case), from this frame outwards."""
        frame: Frame | None = self
        while frame is not None and (frame.loop is None or frame.loop.name.lower() != loop_name.lower()):
            frame = frame.parent
        return frame

    def iterations(self, loop_name: str) -> list[Frame]:
        """The iterations of a loop of this frame, in order."""
        inner = self._inner.get(loop_name, {})
        return [inner[index] for index in sorted(inner)]

    def find(self, action: Action) -> Record | list[Any] | None:
        """What a reference to `action` from this frame means: its record, None where it has none, or a list of these."""
        chain: list[Frame] = []
        frame: Frame | None = self
        while frame is not None:
            chain.append(frame)
            frame = frame.parent
        chain.reverse()
        shared = 0
        for outer, loop in zip(chain[1:], action.loops, strict=False):
            if outer.loop is not loop:
                break
            shared += 1
        return chain[shared]._collect(action, action.loops[shared:])  # noqa: SLF001 - a frame of the same tree

    def _collect(self, action: Action, loops: tuple[Action, ...]) -> Record | list[Any] | None:
        if not loops:
            return self.records.get(action.name)
        frames = self.iterations(loops[0].name)
        if loops[0].type.collects:
            return [frame._collect(action, loops[1:]) for frame in frames]  # noqa: SLF001 - the same
        return frames[-1]._collect(action, loops[1:]) if frames else None  # noqa: SLF001 - the same
