"""How `make test` spreads the tests over processes: a file at a time, each worker with its own cluster.

Most integration tests wait for something, so that several fit on two cores. A worker starts a control
plane when its first test asks for one (5 s, 0.6 GB), so that tests which change Environments or nodes meet
no others, and no test needs to know of the workers. The real node is one and dear, and its load would
disturb a second one: its tests stay together on one worker, in their order, and are started first.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import pytest
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

TOGETHER: Final = "tests/e2e"


def unit_of_work(nodeid: str) -> str:
    """What runs on one worker, in order: a file, or all that needs the real node."""
    file = nodeid.partition("::")[0]
    return TOGETHER if PurePosixPath(file).is_relative_to(TOGETHER) else file


class FilesOnWorkers(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist ships no types
    """Gives each free worker the next unit of work, in the order in which the tests were collected."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        return unit_of_work(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesOnWorkers:
    """Replaces xdist's own scheduler."""
    config.option.loadscopereorder = False
    return FilesOnWorkers(config, log)
