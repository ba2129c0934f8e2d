"""Use cases of executions that change something: execute, rerun, cancel."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from nightcrawler_api import refusals
from nightcrawler_api.archive.contract import History
from nightcrawler_api.audit import trail
from nightcrawler_api.audit.record import CANCELLED, CREATED
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, StateConflict
from nightcrawler_api.executions import presenter, requests
from nightcrawler_api.executions.finding import Finder
from nightcrawler_api.executions.forecasts import Forecasts
from nightcrawler_api.executions.queries import BulkCancelParameters, query_of
from nightcrawler_api.executions.revisions import Revisions
from nightcrawler_api.executions.schemas import (
    BulkCancelled,
    Cancelling,
    ExecuteRequest,
    ExecutionStarted,
    NotCancelled,
    RerunRequest,
)
from nightcrawler_api.ids import create_named
from nightcrawler_api.repeats import HEADER, REMARK, Claim, Made, claim_of, is_made
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.statuses import execution_status
from nightcrawler_crds import clock
from nightcrawler_crds.errors import AlreadyExists, ApiError, NotFound
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import EXECUTIONS
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import PodPolicy

log = logging.getLogger(__name__)

_PREFIX: Final = "exec-"
_AT_ONCE: Final = 16
_MOST_CANCELLED: Final = 1_000
_MAY_NOT_CANCEL: Final = "this takes the permission Execute, which you do not have"


class ExecutionService:
    """Executions of workflows, written to the API server."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        guard: Guard,
        *,
        default_user: str,
        policy: PodPolicy,
        forecasts: Forecasts,
        history: History | None = None,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._guard = guard
        self._default_user = default_user
        self._policy = policy
        self._forecasts = forecasts
        self._finder = Finder(cluster, guard, history)
        self._revisions = Revisions(store, history)

    async def execute(
        self, workflow: str, request: ExecuteRequest, caller: Caller, key: str | None = None
    ) -> Made[ExecutionStarted]:
        """Create an execution, once for each `Idempotency-Key`."""
        entry = await self._guard.workflow(workflow, caller, Operation.EXECUTE)
        claim = claim_of(key, caller, request.model_dump(), "execute", entry.view.metadata.uid)
        if claim and (earlier := await self._started_earlier(entry, claim)):
            return earlier
        return await self._start(entry, self.checked(entry, request), request, caller, claim)

    def checked(self, entry: WorkflowEntry, request: ExecuteRequest) -> WorkflowSpec:
        """What an execution would do.

        Raises:
            StateConflict: The workflow cannot run.
            Invalid: The request is wrong.
        """
        spec = self._runnable(entry)
        if why := requests.no_environment_reason(self._guard.ids.of(*entry.view.metadata.key), request, spec):
            raise StateConflict(why)
        self._check(request, spec)
        return spec

    async def create_dry(self, entry: WorkflowEntry, request: ExecuteRequest, caller: Caller) -> None:
        """Let the API server refuse an execution, if it would, and create none."""

        async def create(name: str) -> ExecutionView:
            body = requests.manifest(name, entry.view, request, caller.name)
            namespace = entry.view.metadata.namespace
            return await self._store.create(EXECUTIONS, namespace, body, ExecutionView, dry_run=True)

        await create_named(_PREFIX, create)

    async def rerun(
        self, workflow: str, name: str, request: RerunRequest, caller: Caller, key: str | None = None
    ) -> Made[ExecutionStarted]:
        """Create an execution that repeats another."""
        entry, found = await self._finder.of_workflow(workflow, name, caller, Operation.RERUN)
        earlier, revision = found.view, None
        claim = claim_of(key, caller, request.model_dump(), "rerun", earlier.metadata.uid)
        if claim and (done := await self._started_earlier(entry, claim)):
            return done
        if request.revision == "latest":
            spec = self._runnable(entry)
        else:
            revision = earlier.status.revision
            spec = await self._revisions.spec_of(entry.view, earlier)
        asked = ExecuteRequest(
            environment=earlier.spec.environment,
            parameters=earlier.spec.parameters if request.parameters is None else request.parameters,
        )
        if why := requests.no_environment_reason(workflow, asked, spec):
            raise StateConflict(why)
        self._check(asked, spec)
        repeated = requests.Repeated(earlier.metadata.name, revision)
        started = await self._start(entry, spec, asked, caller, claim, repeated)
        if revision is not None:
            await self._revisions.keep(entry.view, revision)
        return started

    def _check(self, request: ExecuteRequest, spec: WorkflowSpec) -> None:
        environments, profiles = self._cluster.environments(), self._cluster.profiles()
        if found := requests.request_errors(request, spec, environments, profiles):
            raise Invalid(found)

    async def _start(
        self,
        entry: WorkflowEntry,
        spec: WorkflowSpec,
        request: ExecuteRequest,
        caller: Caller,
        claim: Claim | None,
        repeated: requests.Repeated | None = None,
    ) -> Made[ExecutionStarted]:
        namespace, workflow = entry.view.metadata.key

        async def create(name: str) -> ExecutionView:
            annotations = claim.annotations if claim else None
            body = requests.manifest(name, entry.view, request, caller.name, repeated, annotations)
            return await self._store.create(EXECUTIONS, namespace, body, ExecutionView)

        try:
            view = await (create(claim.name(_PREFIX)) if claim else create_named(_PREFIX, create))
        except AlreadyExists:
            if claim and (earlier := await self._started_earlier(entry, claim)):
                return earlier
            raise
        self._cluster.cache_execution(view)
        trail.changed(trail.of_execution(view), CREATED, None, trail.state_of_execution(view))
        log.info("%s started a run of workflow %s", caller, workflow, extra=_about(view))
        now = clock.utcnow()
        expected = self._forecasts.of_new(entry, spec, request.environment, now)
        return Made(self._guard.ids.shown(presenter.started_now(view, expected, now), namespace))

    async def _started_earlier(self, entry: WorkflowEntry, claim: Claim) -> Made[ExecutionStarted] | None:
        """The answer to a repetition: the execution of a claim as it is now; None if there is none yet."""
        namespace, name = entry.view.metadata.namespace, claim.name(_PREFIX)
        workflow, id_ = self._guard.ids.of(*entry.view.metadata.key), self._guard.ids.of(namespace, name)
        if not await is_made(self._store, EXECUTIONS, namespace, name, claim):
            # Its body is not archived, so that it cannot be answered; but it must not run again.
            if await self._finder.is_archived(id_):
                raise StateConflict(
                    f"the execution {id_!r}, which was created with this {HEADER}, has ended, and only the "
                    f"archive still has it: GET /api/workflows/{workflow}/executions/{id_}; send another "
                    "key to execute again"
                )
            return None
        view = await self._cluster.execution(entry, name)
        if view is None:
            raise NotFound(f"the workflow {workflow!r} has no execution {id_!r} any more")
        trail.remark(REMARK)
        now = clock.utcnow()
        expected = self._forecasts.of_live(entry, view, now)
        shown = presenter.started_earlier(view, expected, now)
        return Made(self._guard.ids.shown(shown, namespace), replayed=True)

    async def cancel(self, workflow: str, name: str, caller: Caller) -> Cancelling:
        """Request the cancellation of an execution; idempotent."""
        execution = await self._finder.in_cluster(workflow, name, caller, Operation.CANCEL)
        if execution_status(execution) != "cancelling":
            await self._cancel(execution, caller)
        return {
            "success": True,
            "message": "Execution cancellation requested",
            "executionId": name,
            "status": "cancelling",
        }

    async def cancel_all(self, asked: BulkCancelParameters, caller: Caller) -> BulkCancelled:
        """Request the cancellation of all live executions that match, the newest first, up to a thousand."""
        seen = await self._guard.seen(caller, Operation.CANCEL_MANY)
        query = query_of(asked, self._default_user, self._cluster.environments(), self._guard.ids, seen)
        index = self._cluster.index
        running = [run for run in index.matching(index.runs, query) if run.status == "running"][::-1]
        kinds = {run.protection for run in running}
        mine = {kind for kind in kinds if await self._guard.may(caller, kind, Operation.CANCEL_MANY)}
        live = [run.view for run in running if run.protection in mine]
        chosen, others = live[:_MOST_CANCELLED], live[_MOST_CANCELLED:]
        refused: list[NotCancelled] = [
            {"id": self._id(run.view), "detail": _MAY_NOT_CANCEL}
            for run in running
            if run.protection not in mine
        ]
        failed = refused[:_MOST_CANCELLED]
        if not asked.dry_run:
            turns = asyncio.Semaphore(_AT_ONCE)

            async def cancel(execution: ExecutionView) -> None:
                async with turns:
                    try:
                        await self._cancel(execution, caller)
                    except (ApiError, StateConflict) as error:
                        failed.append({"id": self._id(execution), "detail": str(error)})

            await asyncio.gather(*map(cancel, chosen))
        left = {one["id"] for one in failed}
        return {
            "dryRun": asked.dry_run,
            "executions": [id_ for id_ in map(self._id, chosen) if id_ not in left],
            "notCancelled": sorted(failed, key=lambda one: one["id"]),
            "remaining": len(others),
        }

    def _id(self, execution: ExecutionView) -> str:
        return self._guard.ids.of(*execution.metadata.key)

    async def _cancel(self, execution: ExecutionView, caller: Caller) -> None:
        self._refuse_ended(execution)
        execution = await self._store.patch(
            EXECUTIONS, *execution.metadata.key, {"spec": {"cancel": True}}, ExecutionView
        )
        self._cluster.cache_execution(execution)
        # It may have ended after the cached state, and then the write has changed nothing.
        self._refuse_ended(execution)
        trail.changed(trail.of_execution(execution), CANCELLED, {"cancel": False}, {"cancel": True})
        workflow = execution.spec.workflow_ref.name
        log.info("%s cancelled a run of workflow %s", caller, workflow, extra=_about(execution))

    def _refuse_ended(self, execution: ExecutionView) -> None:
        if execution.status.has_ended:
            raise StateConflict(
                f"the execution {execution.metadata.name!r} has ended: it is {execution_status(execution)}; "
                "there is nothing to cancel"
            )

    def _runnable(self, entry: WorkflowEntry) -> WorkflowSpec:
        name = self._guard.ids.of(*entry.view.metadata.key)
        spec = requests.readable_spec(entry.view)
        if isinstance(spec, list):
            raise StateConflict(f"the workflow {name!r} cannot run: {refusals.summary(spec)}")
        if why := requests.not_runnable_reason(name, spec, self._policy, self._cluster.profiles()):
            raise StateConflict(why)
        return spec


def _about(execution: ExecutionView) -> dict[str, str]:
    """The context fields of a log line."""
    return {"namespace": execution.metadata.namespace, "execution": execution.metadata.name}
