"""What the steps of an execution that runs use now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nightcrawler_api.executions.schemas import ResourceUsage


@dataclass(frozen=True, slots=True)
class Live:
    """What its steps use now, by name, and all of them together."""

    steps: Mapping[str, ResourceUsage]
    run: ResourceUsage


NOTHING: Final = Live({}, {})
