"""What routes are given: the services of their application, and who is calling.

All of it is async although nothing waits: FastAPI calls whatever is not in a thread, which costs
more than all else that a list takes. Nor does one dependency stand on another: each costs some 20 µs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from nightcrawler_api.caller import CALLER, Caller
from nightcrawler_api.errors import NotReady
from nightcrawler_api.executions.service import ExecutionService
from nightcrawler_api.metrics import Metrics
from nightcrawler_api.settings import Settings
from nightcrawler_api.state.clustercache import Mirror
from nightcrawler_api.workflows.service import WorkflowService


@dataclass(slots=True)
class Facade:
    """The parts of one application."""

    settings: Settings
    mirror: Mirror
    workflows: WorkflowService
    executions: ExecutionService
    metrics: Metrics
    follower: asyncio.Task[None] | None = field(default=None)
    """What keeps the mirror up to date, while the application runs."""

    @property
    def following(self) -> bool:
        """Whether the mirror is kept up to date, or at least tried to be."""
        return self.follower is not None and not self.follower.done()


async def _facade(request: Request) -> Facade:
    facade: Facade = request.app.state.facade
    return facade


async def _workflows(request: Request) -> WorkflowService:
    return _ready(request).workflows


async def _executions(request: Request) -> ExecutionService:
    return _ready(request).executions


async def _caller(request: Request) -> Caller:
    caller: Caller = request.scope[CALLER]
    return caller


def _ready(request: Request) -> Facade:
    facade: Facade = request.app.state.facade
    if why := facade.mirror.why_not_served:
        raise NotReady(why)
    return facade


FacadeOf = Annotated[Facade, Depends(_facade)]
Workflows = Annotated[WorkflowService, Depends(_workflows)]
Executions = Annotated[ExecutionService, Depends(_executions)]
CallerOf = Annotated[Caller, Depends(_caller)]
