"""Use cases of executions: execute, list, show, cancel."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from nightcrawler_api import refusals
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, StateConflict
from nightcrawler_api.executions import podlogs, presenter, requests
from nightcrawler_api.executions.forecasts import Forecasts
from nightcrawler_api.executions.queries import (
    AllExecutionsParameters,
    BulkCancelParameters,
    ExecutionParameters,
    query_of,
)
from nightcrawler_api.executions.schemas import (
    AllExecutionsList,
    BulkCancelled,
    Cancelling,
    ExecuteRequest,
    ExecutionDetail,
    ExecutionList,
    ExecutionStarted,
    NotCancelled,
    RerunRequest,
)
from nightcrawler_api.ids import create_named
from nightcrawler_api.pagination import continued
from nightcrawler_api.repeats import Claim, Made, claim_of, is_made
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.ordering import Part
from nightcrawler_api.state.runs import Run, Runs
from nightcrawler_api.state.statuses import execution_status
from nightcrawler_crds import clock
from nightcrawler_crds.errors import AlreadyExists, ApiError, NotFound
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import EXECUTIONS, REVISIONS
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import PodPolicy

log = logging.getLogger(__name__)

_PREFIX: Final = "exec-"
_AT_ONCE: Final = 16
_MOST_CANCELLED: Final = 1_000


class ExecutionService:
    """Executions of workflows, read from the cache and written to the API server."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        *,
        default_user: str,
        policy: PodPolicy,
        forecasts: Forecasts,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._default_user = default_user
        self._policy = policy
        self._forecasts = forecasts

    async def execute(
        self, workflow: str, request: ExecuteRequest, caller: Caller, key: str | None = None
    ) -> Made[ExecutionStarted]:
        """Create an execution, once for each `Idempotency-Key`."""
        entry = await self._cluster.workflow(workflow)
        claim = claim_of(key, caller, request.model_dump(), "execute", entry.view.metadata.uid)
        if claim and (earlier := await self._started_earlier(workflow, claim)):
            return earlier
        spec = self._runnable(entry)
        if why := requests.no_environment_reason(workflow, request, spec):
            raise StateConflict(why)
        return await self._start(entry, spec, request, caller, claim)

    async def rerun(
        self, workflow: str, name: str, request: RerunRequest, caller: Caller, key: str | None = None
    ) -> Made[ExecutionStarted]:
        """Create an execution that repeats another."""
        entry, earlier = await self._cluster.execution(workflow, name)
        claim = claim_of(key, caller, request.model_dump(), "rerun", earlier.metadata.uid)
        if claim and (started := await self._started_earlier(workflow, claim)):
            return started
        revision = None
        if request.revision == "latest":
            spec = self._runnable(entry)
        else:
            revision = earlier.status.revision
            spec = await self._spec_of_revision(earlier)
        asked = ExecuteRequest(
            environment=earlier.spec.environment,
            parameters=earlier.spec.parameters if request.parameters is None else request.parameters,
        )
        if why := requests.no_environment_reason(workflow, asked, spec):
            raise StateConflict(why)
        return await self._start(entry, spec, asked, caller, claim, requests.Repeated(name, revision))

    async def _start(
        self,
        entry: WorkflowEntry,
        spec: WorkflowSpec,
        request: ExecuteRequest,
        caller: Caller,
        claim: Claim | None,
        repeated: requests.Repeated | None = None,
    ) -> Made[ExecutionStarted]:
        workflow = entry.view.metadata.name
        environments, profiles = self._cluster.environments(), self._cluster.profiles()
        if found := requests.request_errors(request, spec, environments, profiles):
            raise Invalid(found)

        async def create(name: str) -> ExecutionView:
            annotations = claim.annotations if claim else None
            body = requests.manifest(name, entry.view, request, caller.name, repeated, annotations)
            return await self._store.create(EXECUTIONS, self._cluster.namespace, body, ExecutionView)

        try:
            view = await (create(claim.name(_PREFIX)) if claim else create_named(_PREFIX, create))
        except AlreadyExists:
            if claim and (earlier := await self._started_earlier(workflow, claim)):
                return earlier
            raise
        self._cluster.cache_execution(view)
        log.info("%s started a run of workflow %s", caller, workflow, extra=_about(view))
        now = clock.utcnow()
        expected = self._forecasts.of_new(entry, spec, request.environment, now)
        return Made(presenter.started_now(view, expected, now))

    async def _started_earlier(self, workflow: str, claim: Claim) -> Made[ExecutionStarted] | None:
        """The answer to a repetition: the execution of a claim as it is now; None if there is none yet."""
        name = claim.name(_PREFIX)
        if not await is_made(self._store, EXECUTIONS, self._cluster.namespace, name, claim):
            return None
        entry, view = await self._cluster.execution(workflow, name)
        now = clock.utcnow()
        expected = self._forecasts.of_live(entry, view, now)
        return Made(presenter.started_earlier(view, expected, now), replayed=True)

    async def _spec_of_revision(self, earlier: ExecutionView) -> WorkflowSpec:
        """What an earlier run did; raises `StateConflict` if that is not known."""
        name = earlier.metadata.name
        otherwise = 'send {"revision": "latest"} to run the workflow as it is now'
        if not earlier.status.revision:
            raise StateConflict(
                f"the execution {name!r} has not begun, so there is nothing to repeat; {otherwise}"
            )
        try:
            revision = await self._store.get(
                REVISIONS, self._cluster.namespace, earlier.status.revision, RevisionView
            )
            return WorkflowSpec.model_validate(revision.data, extra="ignore")
        except (NotFound, ValidationError) as error:
            raise StateConflict(
                f"the revision {earlier.status.revision!r} that the execution {name!r} ran is gone or "
                f"unreadable; {otherwise}"
            ) from error

    async def page(self, workflow: str, asked: ExecutionParameters, caller: Caller) -> ExecutionList:
        """A page of a workflow's executions."""
        runs = (await self._cluster.workflow(workflow)).runs
        now = clock.utcnow()
        part = self._part(runs, asked, now)
        shown: ExecutionList = {
            "executions": [presenter.row(run.view, self._default_user, now) for run in part.entries],
            "total": part.total,
            "limit": asked.limit,
            "offset": asked.offset,
        }
        return continued(shown, asked.sort, part.next)

    def page_of_all(self, asked: AllExecutionsParameters, caller: Caller) -> AllExecutionsList:
        """A page of the executions of all workflows."""
        now = clock.utcnow()
        index = self._cluster.index
        part = self._part(index.runs, asked, now)
        rows = []
        for run in part.entries:
            entry = index.workflow((run.order[1], run.view.spec.workflow_ref.name))
            name = entry.name if entry else None
            rows.append(presenter.row_of_workflow(run.view, name, self._default_user, now))
        shown: AllExecutionsList = {
            "executions": rows,
            "total": part.total,
            "limit": asked.limit,
            "offset": asked.offset,
        }
        return continued(shown, asked.sort, part.next)

    def _part(self, runs: Runs, asked: ExecutionParameters, now: datetime) -> Part[Run]:
        query = query_of(asked, self._default_user, self._cluster.environments())
        return self._cluster.index.executions(runs, asked.offset, asked.limit, query, now)

    async def show(self, workflow: str, name: str, caller: Caller, *, with_logs: bool) -> ExecutionDetail:
        """An execution in full."""
        entry, execution = await self._cluster.execution(workflow, name)
        order = [step["name"] for step in entry.view.spec.get("steps") or []]
        logs = None
        if with_logs:
            logs = await podlogs.read_logs(self._store, execution, presenter.started_steps(execution, order))
        now = clock.utcnow()
        expected = self._forecasts.of_live(entry, execution, now)
        return presenter.detail(execution, self._default_user, order, logs, now, expected)

    async def cancel(self, workflow: str, name: str, caller: Caller) -> Cancelling:
        """Request the cancellation of an execution; idempotent."""
        _, execution = await self._cluster.execution(workflow, name)
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
        query = query_of(asked, self._default_user, self._cluster.environments())
        index = self._cluster.index
        live = [run.view for run in index.matching(index.runs, query) if run.status == "running"][::-1]
        chosen, others = live[:_MOST_CANCELLED], live[_MOST_CANCELLED:]
        failed: list[NotCancelled] = []
        if not asked.dry_run:
            turns = asyncio.Semaphore(_AT_ONCE)

            async def cancel(execution: ExecutionView) -> None:
                async with turns:
                    try:
                        await self._cancel(execution, caller)
                    except (ApiError, StateConflict) as error:
                        failed.append({"id": execution.metadata.name, "detail": str(error)})

            await asyncio.gather(*map(cancel, chosen))
        left = {one["id"] for one in failed}
        return {
            "dryRun": asked.dry_run,
            "executions": [e.metadata.name for e in chosen if e.metadata.name not in left],
            "notCancelled": sorted(failed, key=lambda one: one["id"]),
            "remaining": len(others),
        }

    async def _cancel(self, execution: ExecutionView, caller: Caller) -> None:
        self._refuse_ended(execution)
        name = execution.metadata.name
        execution = await self._store.patch(
            EXECUTIONS, self._cluster.namespace, name, {"spec": {"cancel": True}}, ExecutionView
        )
        self._cluster.cache_execution(execution)
        # It may have ended after the cached state, and then the write has changed nothing.
        self._refuse_ended(execution)
        workflow = execution.spec.workflow_ref.name
        log.info("%s cancelled a run of workflow %s", caller, workflow, extra=_about(execution))

    def _refuse_ended(self, execution: ExecutionView) -> None:
        if execution.status.has_ended:
            raise StateConflict(
                f"the execution {execution.metadata.name!r} has ended: it is {execution_status(execution)}; "
                "there is nothing to cancel"
            )

    def _runnable(self, entry: WorkflowEntry) -> WorkflowSpec:
        name = entry.view.metadata.name
        spec = requests.readable_spec(entry.view)
        if isinstance(spec, list):
            raise StateConflict(f"the workflow {name!r} cannot run: {refusals.summary(spec)}")
        if why := requests.not_runnable_reason(name, spec, self._policy, self._cluster.profiles()):
            raise StateConflict(why)
        return spec


def _about(execution: ExecutionView) -> dict[str, str]:
    """The context fields of a log line."""
    return {"namespace": execution.metadata.namespace, "execution": execution.metadata.name}
