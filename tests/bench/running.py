"""Runs that go on while something else is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from nightcrawler_crds import names
from tests.bench.engines import NAMESPACE, Meta
from tests.bench.site import Site
from tests.bench.timing import Seen

A_DAY: Final = 86_400.0
"""How long a Pod runs that is to outlast any measurement, in seconds."""
_PATIENCE: Final = 600.0
_LOOK_EVERY: Final = 1.0


class _Run(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta


async def until_running(here: Site, seen: Seen, runs: Sequence[str], step: str) -> None:
    """Wait until these runs' Pods of a step are there, and the runs are recorded as Running.

    Raises:
        TimeoutError: They are not in time; says how many.
    """
    await seen.until(lambda: all((run, step) in seen.created for run in reversed(runs)), _PATIENCE)
    deadline = time.monotonic() + _PATIENCE
    while missing := set(runs) - await _running(here):
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{len(missing)} of {len(runs)} runs were not Running, such as {missing.pop()}"
            )
        await asyncio.sleep(_LOOK_EVERY)


async def _running(here: Site) -> set[str]:
    found = await here.store.list_all(
        names.EXECUTIONS, NAMESPACE, _Run, field_selector="status.phase=Running"
    )
    return {run.metadata.name for run in found}
