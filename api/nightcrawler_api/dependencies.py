"""Dependencies of routes: the services of the application, and the caller.

They are async although nothing waits: FastAPI runs other functions in a thread, which takes longer than
the rest of a list request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request

from nightcrawler_api.audit.recorder import Recorder
from nightcrawler_api.audit.service import AuditService
from nightcrawler_api.auth.setup import Identity
from nightcrawler_api.caller import CALLER, Caller
from nightcrawler_api.dryruns.service import DryRunService
from nightcrawler_api.environments.service import EnvironmentService
from nightcrawler_api.errors import Invalid, NotReady
from nightcrawler_api.events.service import EventService
from nightcrawler_api.executions.reader import ExecutionReader
from nightcrawler_api.executions.service import ExecutionService
from nightcrawler_api.executions.usage import LiveUsage
from nightcrawler_api.http import conditions
from nightcrawler_api.http.conditions import IF_MATCH, IfMatch, if_match_of
from nightcrawler_api.http.streams import Streams
from nightcrawler_api.installation.service import InstallationService
from nightcrawler_api.keeping.kept import Kept
from nightcrawler_api.logs.service import LogService
from nightcrawler_api.metrics import Metrics
from nightcrawler_api.repeats import HEADER, MAX_LENGTH, PATTERN
from nightcrawler_api.revisions.service import RevisionService
from nightcrawler_api.settings import Settings
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.statistics.service import StatisticsService
from nightcrawler_api.timelines.service import TimelineService
from nightcrawler_api.workflows.actions import WorkflowActions
from nightcrawler_api.workflows.service import WorkflowService


@dataclass(slots=True)
class Facade:
    """The parts of one application."""

    settings: Settings
    cluster: ClusterCache
    identity: Identity
    workflows: WorkflowService
    executions: ExecutionService
    execution_reader: ExecutionReader
    events: EventService
    logs: LogService
    actions: WorkflowActions
    dry_runs: DryRunService
    revisions: RevisionService
    timelines: TimelineService
    statistics: StatisticsService
    environments: EnvironmentService
    streams: Streams
    installation: InstallationService
    audit: AuditService
    recorder: Recorder
    metrics: Metrics
    usage: LiveUsage
    open_paths: Sequence[str] = ()
    """The paths that need no authentication."""
    kept: Kept = field(default_factory=Kept)
    keeper_task: asyncio.Task[None] | None = field(default=None)
    """The task that keeps runs that have ended; None if nothing is kept."""
    recorder_task: asyncio.Task[None] | None = field(default=None)
    """The task that writes the rows of audit records; None before the application starts."""
    watch_task: asyncio.Task[None] | None = field(default=None)
    """The task that watches the cluster; None before the application starts."""

    @property
    def watching(self) -> bool:
        """Whether the cluster is watched, or a connection is being retried."""
        return self.watch_task is not None and not self.watch_task.done()

    @property
    def keeping(self) -> bool:
        """Whether runs that have ended are kept, or that is being retried; also if nothing is to be kept."""
        return self.kept.keeper is None or (self.keeper_task is not None and not self.keeper_task.done())

    @property
    def recording(self) -> bool:
        """Whether rows of audit records are written, or that is being retried; also if there are none."""
        return self.recorder.records is None or self.recorder_task is None or not self.recorder_task.done()


async def _facade(request: Request) -> Facade:
    facade: Facade = request.app.state.facade
    return facade


async def _workflows(request: Request) -> WorkflowService:
    return _ready(request).workflows


async def _executions(request: Request) -> ExecutionService:
    return _ready(request).executions


async def _execution_reader(request: Request) -> ExecutionReader:
    return _ready(request).execution_reader


async def _events(request: Request) -> EventService:
    return _ready(request).events


async def _logs(request: Request) -> LogService:
    return _ready(request).logs


async def _actions(request: Request) -> WorkflowActions:
    return _ready(request).actions


async def _dry_runs(request: Request) -> DryRunService:
    return _ready(request).dry_runs


async def _revisions(request: Request) -> RevisionService:
    return _ready(request).revisions


async def _timelines(request: Request) -> TimelineService:
    return _ready(request).timelines


async def _statistics(request: Request) -> StatisticsService:
    return _ready(request).statistics


async def _environments(request: Request) -> EnvironmentService:
    return _ready(request).environments


async def _audit(request: Request) -> AuditService:
    return _ready(request).audit


async def _streams(request: Request) -> Streams:
    facade: Facade = request.app.state.facade
    return facade.streams


async def _caller(request: Request) -> Caller:
    caller: Caller = request.scope[CALLER]
    return caller


async def _idempotency_key(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            max_length=MAX_LENGTH,
            pattern=PATTERN,
            description="A word of yours, such as a UUID, with which this may be sent again until it is "
            "answered: it is done once. The same key with another body is 422.",
        ),
    ] = None,
) -> str | None:
    if len(request.headers.getlist(HEADER)) > 1:
        raise Invalid([{"parameter": HEADER, "detail": "stands more than once in the request; send one"}])
    return key


async def _if_match(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias=IF_MATCH,
            pattern=conditions.PATTERN,
            description="The `version` that GET has shown, or its ETag; several separated by commas; or *. "
            "If the workflow has another by now, nothing is changed and the answer is 412.",
        ),
    ] = None,
) -> IfMatch | None:
    return if_match_of(request.headers.getlist(IF_MATCH))


def _ready(request: Request) -> Facade:
    facade: Facade = request.app.state.facade
    if why := facade.cluster.not_ready_reason:
        raise NotReady(why)
    return facade


FacadeOf = Annotated[Facade, Depends(_facade)]
Workflows = Annotated[WorkflowService, Depends(_workflows)]
Executions = Annotated[ExecutionService, Depends(_executions)]
ExecutionsRead = Annotated[ExecutionReader, Depends(_execution_reader)]
Events = Annotated[EventService, Depends(_events)]
Logs = Annotated[LogService, Depends(_logs)]
Actions = Annotated[WorkflowActions, Depends(_actions)]
DryRuns = Annotated[DryRunService, Depends(_dry_runs)]
Revisions = Annotated[RevisionService, Depends(_revisions)]
Timelines = Annotated[TimelineService, Depends(_timelines)]
StatisticsOf = Annotated[StatisticsService, Depends(_statistics)]
Environments = Annotated[EnvironmentService, Depends(_environments)]
Audit = Annotated[AuditService, Depends(_audit)]
StreamsOf = Annotated[Streams, Depends(_streams)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
IfMatchOf = Annotated[IfMatch | None, Depends(_if_match)]
CallerOf = Annotated[Caller, Depends(_caller)]
