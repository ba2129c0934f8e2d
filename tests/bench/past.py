"""Runs that have ended before a measurement begins, made without running them: thousands in seconds.

Their status is that of a run that did end, so that they weigh what such a run weighs. An operator at work
would begin to run them before their status is there: make them while it is away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.store import Store
from tests.bench.engines import NAMESPACE, Defined
from tests.bench.engines.nightcrawler import execution, workflow
from tests.bench.load import side_by_side, submit
from tests.bench.shapes import chain
from tests.bench.site import Site
from tests.bench.timing import Seen

Status = dict[str, Any]

_PATIENCE: Final = 60.0


class _Nothing(msgspec.Struct):
    """A response whose content is not needed."""


async def status_of_one(here: Site, seen: Seen, of: Defined, name: str) -> Status:
    """Let the operator run one, and take the status that it leaves."""
    await submit(here, of, name)
    await seen.until_ended([name], _PATIENCE)
    ended: dict[str, Any] = await here.store.get(names.EXECUTIONS, NAMESPACE, name, dict[str, Any])
    status: Status = ended["status"]
    if status["phase"] != "Completed":
        raise RuntimeError(f"the run whose end was to be copied did not end well: {status}")
    return status


async def make_ended(
    store: Store, workflows: Sequence[Defined], status: Status, numbers: range, prefix: str = "past"
) -> None:
    """Ended runs `<prefix>-<number>`, of these workflows in turns."""

    async def one(number: int) -> None:
        name = f"{prefix}-{number}"
        of = workflows[number % len(workflows)]
        await store.create(names.EXECUTIONS, NAMESPACE, execution(of, name), _Nothing)
        body = {"status": status}
        await store.patch(names.EXECUTIONS, NAMESPACE, name, body, _Nothing, subresource="status")

    await side_by_side(one(number) for number in numbers)


async def make_workflows(store: Store, numbers: range) -> None:
    """Workflows `idle-<number>` of five steps without runs."""
    shape = chain(5, 1)
    await side_by_side(
        store.create(names.WORKFLOWS, NAMESPACE, workflow(f"idle-{number}", shape), _Nothing)
        for number in numbers
    )
