"""What a render operator asks of the client; the engine only carries it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rendering:
    """The visualization and its properties as written, such as title or xcolumn."""

    visualization: str
    properties: Mapping[str, str] = field(default_factory=dict)
