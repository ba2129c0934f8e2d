"""What can be done with executions."""

from __future__ import annotations

import logging
from typing import Final

from nightcrawler_api import refusals
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, NotNow
from nightcrawler_api.estimates import RUNS_CONSIDERED, estimated_seconds
from nightcrawler_api.executions import podlogs, presenter, requests
from nightcrawler_api.executions.schemas import (
    Cancelling,
    ExecuteRequest,
    ExecutionDetail,
    ExecutionList,
    ExecutionStarted,
)
from nightcrawler_api.ids import create_named
from nightcrawler_api.pagination import Window
from nightcrawler_api.state.clustercache import Mirror
from nightcrawler_api.state.index import Known
from nightcrawler_api.state.statuses import ExecutionWord, execution_word
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import EXECUTIONS
from nightcrawler_crds.v1alpha1 import TERMINAL_PHASES, WorkflowSpec
from nightcrawler_crds.validation import PodPolicy

log = logging.getLogger(__name__)

_PREFIX: Final = "exec-"


class ExecutionService:
    """Executions of workflows, read from the mirror and written to the API server."""

    def __init__(
        self, store: Store, mirror: Mirror, *, default_user: str, default_timeout: float, policy: PodPolicy
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._default_user = default_user
        self._default_timeout = default_timeout
        self._policy = policy

    async def execute(self, workflow: str, request: ExecuteRequest, caller: Caller) -> ExecutionStarted:
        """Create an execution."""
        known = await self._mirror.workflow(workflow)
        spec = self._runnable(known)
        if why := requests.why_nowhere(workflow, request, spec):
            raise NotNow(why)
        if found := requests.request_findings(request, spec, self._mirror.environments()):
            raise Invalid(found)

        async def create(name: str) -> ExecutionView:
            body = requests.manifest(name, known.view, request, caller.name)
            return await self._store.create(EXECUTIONS, self._mirror.namespace, body, ExecutionView)

        view = await create_named(_PREFIX, create)
        self._mirror.took_execution(view)
        log.info("%s started a run of workflow %s", caller, workflow, extra=_about(view))
        return presenter.started_now(view, self._estimate(known, spec))

    async def page(
        self, workflow: str, window: Window, status: ExecutionWord | None, caller: Caller
    ) -> ExecutionList:
        """So many executions of a workflow, newest first."""
        runs = (await self._mirror.workflow(workflow)).runs
        page = runs.page(window.offset, window.limit, status)
        return {
            "executions": [presenter.row(execution, self._default_user) for execution in page],
            "total": runs.count(status),
            "limit": window.limit,
            "offset": window.offset,
        }

    async def show(self, workflow: str, name: str, caller: Caller, *, with_logs: bool) -> ExecutionDetail:
        """An execution in full."""
        known, execution = await self._mirror.execution(workflow, name)
        order = [step["name"] for step in known.view.spec.get("steps") or []]
        logs = None
        if with_logs:
            logs = await podlogs.read_logs(self._store, execution, presenter.steps_begun(execution, order))
        return presenter.detail(execution, self._default_user, order, logs)

    async def cancel(self, workflow: str, name: str, caller: Caller) -> Cancelling:
        """Ask for the end of an execution; asking twice is asking once."""
        _, execution = await self._mirror.execution(workflow, name)
        if execution_word(execution) != "cancelling":
            self._refuse_ended(execution)
            execution = await self._store.patch(
                EXECUTIONS, self._mirror.namespace, name, {"spec": {"cancel": True}}, ExecutionView
            )
            self._mirror.took_execution(execution)
            # It may have ended between what was known and the write, which then changed nothing.
            self._refuse_ended(execution)
            log.info("%s cancelled a run of workflow %s", caller, workflow, extra=_about(execution))
        return {
            "success": True,
            "message": "Execution cancellation requested",
            "executionId": name,
            "status": "cancelling",
        }

    def _refuse_ended(self, execution: ExecutionView) -> None:
        if execution.status.phase in TERMINAL_PHASES:
            raise NotNow(
                f"the execution {execution.metadata.name!r} has ended: it is {execution_word(execution)}; "
                "there is nothing to cancel"
            )

    def _runnable(self, known: Known) -> WorkflowSpec:
        name = known.view.metadata.name
        spec = requests.readable_spec(known.view)
        if isinstance(spec, list):
            raise NotNow(f"the workflow {name!r} cannot run: {refusals.summary(spec)}")
        if why := requests.why_not_runnable(name, spec, self._policy):
            raise NotNow(why)
        return spec

    def _estimate(self, known: Known, spec: WorkflowSpec) -> float:
        completed = known.runs.page(0, RUNS_CONSIDERED, "completed")
        recent = known.runs.page(0, RUNS_CONSIDERED)
        return estimated_seconds(spec, completed, recent, self._default_timeout)


def _about(execution: ExecutionView) -> dict[str, str]:
    """What a line of the log is about."""
    return {"namespace": execution.metadata.namespace, "execution": execution.metadata.name}
