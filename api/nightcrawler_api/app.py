"""The application: services wired to one store, routes, error handlers, the watch of the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import version
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from nightcrawler_api import errors, health
from nightcrawler_api.archive.contract import Archive, History
from nightcrawler_api.audit import endpoints as audit
from nightcrawler_api.audit.actions import Operations
from nightcrawler_api.audit.audited import Audited
from nightcrawler_api.audit.contract import Records
from nightcrawler_api.audit.record import Subject
from nightcrawler_api.audit.recorder import Recorder, write_line
from nightcrawler_api.audit.service import AuditService
from nightcrawler_api.auth.declared import declared, open_paths
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.auth.setup import Identity, identity_of
from nightcrawler_api.dependencies import Facade
from nightcrawler_api.dryruns.service import DryRunService
from nightcrawler_api.environments import endpoints as environments
from nightcrawler_api.environments.service import EnvironmentService
from nightcrawler_api.events import endpoints as events
from nightcrawler_api.events.service import EventService
from nightcrawler_api.executions import endpoints as executions
from nightcrawler_api.executions.forecasts import Forecasts
from nightcrawler_api.executions.reader import ExecutionReader
from nightcrawler_api.executions.service import ExecutionService
from nightcrawler_api.executions.steplogs import StepLogs
from nightcrawler_api.executions.usage import LiveUsage
from nightcrawler_api.http.conditions import refuse_others
from nightcrawler_api.http.heads import HeadAsGet
from nightcrawler_api.http.limits import Limited, Limits
from nightcrawler_api.http.origins import SameOrigin
from nightcrawler_api.http.streams import Streams
from nightcrawler_api.ids import Ids
from nightcrawler_api.installation import endpoints as installation
from nightcrawler_api.installation.service import InstallationService
from nightcrawler_api.keeping.keeper import Keeper, Part, Turn
from nightcrawler_api.keeping.kept import Kept
from nightcrawler_api.keeping.notes import Notes
from nightcrawler_api.keptlogs.contract import LogHistory
from nightcrawler_api.logs import endpoints as logs
from nightcrawler_api.logs.service import LogService
from nightcrawler_api.masks import Masks
from nightcrawler_api.metrics import Measured, Metrics
from nightcrawler_api.openapi import document
from nightcrawler_api.repeats import REPLAYED
from nightcrawler_api.requestids import HEADER, RequestIds
from nightcrawler_api.revisions import endpoints as revisions
from nightcrawler_api.revisions.service import RevisionService
from nightcrawler_api.schedules import endpoints as schedules
from nightcrawler_api.settings import Settings, is_loopback
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.statistics import endpoints as statistics
from nightcrawler_api.statistics.service import StatisticsService
from nightcrawler_api.timelines import endpoints as timelines
from nightcrawler_api.timelines.service import TimelineService
from nightcrawler_api.workflows import endpoints as workflows
from nightcrawler_api.workflows.actions import WorkflowActions
from nightcrawler_api.workflows.presenter import Fallbacks
from nightcrawler_api.workflows.service import WorkflowService
from nightcrawler_crds.election.elector import LeaseTerms
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.prometheus import prometheus_of

log = logging.getLogger(__name__)

_TITLE = "Nightcrawler"
_DESCRIPTION = """
Workflows on Kubernetes. Each is a custom resource `Workflow`, each of its runs a
`WorkflowExecution`; what is done here can be seen with kubectl, and the other way round.

Reads are served from a cache of the cluster, also while its API server is unavailable;
writes are then 503. Every error is problem+json: `detail` says what to do, `errors` where.
"""
_ROUTES: Final = (
    workflows.router,
    workflows.imports,
    revisions.router,
    executions.router,
    timelines.router,
    schedules.router,
    executions.all_of_them,
    logs.router,
    statistics.router,
    environments.router,
    environments.profiles,
    events.router,
    audit.router,
    installation.router,
    health.router,
)
"""In the order in which they are tried: the first that fits a path answers."""


def create_app(settings: Settings, store: Store) -> FastAPI:
    """The application over a store, which the caller closes."""
    facade = _wire(settings, store)
    app = FastAPIOffline(
        redoc_url=None,
        title=_TITLE,
        version=version("nightcrawler"),
        lifespan=_watching,
        dependencies=[Depends(refuse_others)],
    )
    app.state.facade = facade
    for routes in _ROUTES:
        routes.add_to(app)
    facade.open_paths = open_paths(app)
    # FastAPI's own way to have another document. It takes memory and half a second: made for those who ask.
    app.openapi = cache(partial(document, _ROUTES, _TITLE, app.version, _DESCRIPTION))  # type: ignore[method-assign]
    errors.install(app)
    return app


def in_front(app: FastAPI) -> ASGIApp:
    """The application to serve: `create_app` wrapped in ASGI middleware, outermost ids, HEAD and metrics.

    Around the application and not among its own middlewares, so that FastAPI's error responses pass too.
    """
    facade: Facade = app.state.facade
    settings = facade.settings
    limits = Limits(settings.max_head_bytes, settings.max_body_bytes, settings.max_requests_per_second)
    served = facade.identity.in_front(Limited(app, limits), settings.default_user, facade.open_paths)
    served = SameOrigin(served, allowed=settings.cors_origins, only_loopback=is_loopback(settings.api_host))
    if settings.cors_origins:
        served = CORSMiddleware(
            served,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=[
                "ETag",
                "Location",
                "Retry-After",
                "Link",
                "Content-Disposition",
                "WWW-Authenticate",
                REPLAYED,
                HEADER,
            ],
        )
    served = Audited(
        served,
        facade.recorder,
        Operations(declared(app)),
        Ids(settings.namespace),
        knows=facade.cluster.knows,
        audits_reads=lambda subject: _audits_reads(facade.cluster, subject),
    )
    return RequestIds(HeadAsGet(Measured(served, metrics=facade.metrics)))


def _audits_reads(cluster: ClusterCache, subject: Subject) -> bool:
    """Whether the workflow of an object asks for records of its reads."""
    entry = cluster.index.workflow((subject.namespace, subject.workflow))
    security = ((entry.view.spec.get("config") or {}).get("security") or {}) if entry else {}
    return security.get("auditLogging") is True


def _wire(settings: Settings, store: Store) -> Facade:
    cluster = ClusterCache(store, settings.namespace, settings.other_namespaces, settings.hidden_namespace)
    identity = identity_of(settings, store)
    guard = Guard(cluster, identity.teams, identity.reviews)
    masks = Masks(store, cluster, enabled=settings.mask_secrets)
    usage = LiveUsage(store, prometheus_of(settings), enabled=settings.usage)
    streams = Streams(settings.max_streams, settings.max_streams_per_caller)
    workflow_service = _workflows(settings, store, cluster, guard, identity)
    kept = _kept(settings, store, cluster, masks)
    recorder = Recorder(kept.records)
    history = kept.archive.history if kept.archive else None
    step_logs = StepLogs(store, kept.logs, masks)
    user = settings.default_user
    forecasts = Forecasts(cluster, defaults=settings.step_defaults, limits=settings)
    execution_service = _executions(settings, store, cluster, guard, forecasts, history)
    return Facade(
        settings=settings,
        cluster=cluster,
        identity=identity,
        kept=kept,
        workflows=workflow_service,
        dry_runs=DryRunService(
            store, cluster, guard, workflow_service, execution_service, forecasts, settings.step_defaults
        ),
        actions=WorkflowActions(store, cluster, guard, workflow_service),
        revisions=RevisionService(store, cluster, guard, history),
        timelines=TimelineService(store, cluster, guard, history),
        statistics=StatisticsService(cluster, guard, default_user=user, history=history),
        environments=EnvironmentService(cluster),
        execution_reader=ExecutionReader(
            cluster, guard, step_logs, forecasts, usage, default_user=user, history=history
        ),
        executions=execution_service,
        events=EventService(cluster, guard, default_user=user),
        logs=LogService(store, cluster, guard, masks, step_logs, history),
        streams=streams,
        installation=InstallationService(
            store, cluster, streams, kept, identity, (settings.lease_namespace, settings.lease_name)
        ),
        audit=AuditService(
            kept.records, guard.ids, lambda caller: guard.readable(caller, Operation.LIST_AUDIT_RECORDS)
        ),
        recorder=recorder,
        metrics=Metrics(cluster, streams, kept, recorder, identity),
        usage=usage,
    )


def _workflows(
    settings: Settings, store: Store, cluster: ClusterCache, guard: Guard, identity: Identity
) -> WorkflowService:
    return WorkflowService(
        store,
        cluster,
        guard,
        fallbacks=_fallbacks(settings, identity),
        policy=settings.pod_policy,
        template=settings.template_workflow,
        notification_domains=settings.notification_domains,
        enforced=identity.is_known,
    )


def _executions(
    settings: Settings,
    store: Store,
    cluster: ClusterCache,
    guard: Guard,
    forecasts: Forecasts,
    history: History | None,
) -> ExecutionService:
    return ExecutionService(
        store,
        cluster,
        guard,
        default_user=settings.default_user,
        policy=settings.pod_policy,
        forecasts=forecasts,
        history=history,
    )


def _fallbacks(settings: Settings, identity: Identity) -> Fallbacks:
    return Fallbacks(
        user=settings.default_user,
        timeout=settings.default_timeout,
        retry_delay=settings.default_retry_delay,
        cpu=settings.default_cpu,
        memory=settings.default_memory,
        visibility="Team" if identity.is_known else "Public",
    )


def _kept(settings: Settings, store: Store, cluster: ClusterCache, masks: Masks) -> Kept:
    """What is kept of runs that have ended."""
    notes, parts = Notes(store, cluster), list[Part]()
    lease = LeaseTerms(namespace=settings.keep_lease_namespace, name=settings.keep_lease_name)
    turn: Turn | None = None
    archive: Archive | None = None
    logs: LogHistory | None = None
    records: Records | None = None
    # The libraries of both take memory, which only who keeps something shall pay for.
    if settings.archives:
        from nightcrawler_api.archive.archive import SqlArchive  # noqa: PLC0415
        from nightcrawler_api.archive.archiver import Retention  # noqa: PLC0415
        from nightcrawler_api.archive.records import SqlRecords  # noqa: PLC0415

        assert settings.archive_url is not None, "the settings check that it is there"
        retention = Retention(settings.archive_keep_for, settings.archive_keep_runs)
        made = SqlArchive(store, cluster, notes, settings.archive_url.get_secret_value(), retention)
        archive, turn = made, made.turn(lease)
        records = rows = SqlRecords(store, cluster, made.database, settings.audit_keep_for, write_line)
        parts += [made, rows]
    if settings.keeps_logs:
        from nightcrawler_api.keptlogs.keeping import KeptLogs  # noqa: PLC0415

        assert settings.log_url is not None, "the settings check that it is there"
        kept = KeptLogs(
            store,
            cluster,
            notes,
            masks,
            settings.log_url,
            log_bytes=settings.log_bytes,
            total_bytes=settings.log_total_bytes,
            keep_seconds=settings.archive_keep_for,
        )
        logs = kept
        turn = turn or kept.turn(lease)
        parts.append(kept)
    return Kept(
        archive=archive, logs=logs, records=records, keeper=Keeper(store, turn, parts) if turn else None
    )


@asynccontextmanager
async def _watching(app: FastAPI) -> AsyncGenerator[None, None]:
    facade: Facade = app.state.facade
    facade.watch_task = asyncio.create_task(facade.cluster.run(), name="following the cluster")
    facade.recorder_task = asyncio.create_task(facade.recorder.run(), name="writing audit records")
    tasks = [facade.watch_task, facade.recorder_task]
    if facade.kept.keeper is not None:
        keeper = facade.kept.keeper
        facade.keeper_task = asyncio.create_task(keeper.run(), name="keeping what runs leave")
        tasks.append(facade.keeper_task)
    for task in tasks:
        task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # errors have been logged
        await facade.usage.close()
        await facade.identity.close()
        await facade.recorder.close()
        if facade.kept.keeper is not None:
            await facade.kept.keeper.close()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("the facade has stopped %s", task.get_name(), exc_info=error)
