"""Use cases of dry runs: what would become of a workflow, and of an execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import uuid4

import msgspec

from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.dryruns.nodes import ListedNodes
from nightcrawler_api.dryruns.schemas import ExecutionDryRun, Prospect, WorkflowDryRun
from nightcrawler_api.dryruns.verdicts import (
    Question,
    Verdict,
    look_at_place,
    look_at_refusal,
    look_at_volume,
    suitable_places,
)
from nightcrawler_api.errors import Invalid, StateConflict
from nightcrawler_api.executions import presenter
from nightcrawler_api.executions.forecasts import Forecasts
from nightcrawler_api.executions.schemas import ExecuteRequest
from nightcrawler_api.executions.service import ExecutionService
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.runs import Runs
from nightcrawler_api.workflows.service import WorkflowService
from nightcrawler_crds import clock, names
from nightcrawler_crds.building.job import job, pod
from nightcrawler_crds.building.run import NewJob, PodDefaults, Run, kept_where_all_fit
from nightcrawler_crds.building.volume import Volume, volume_of
from nightcrawler_crds.building.volumeclaim import volume_claim
from nightcrawler_crds.errors import ApiError, Unavailable
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.nativeviews import VolumeClaimView, WholeJobView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import JOBS, PODS, VOLUME_CLAIMS
from nightcrawler_crds.planning.candidates import Candidate
from nightcrawler_crds.planning.nodes import NO_NODES
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, WorkflowSpec, conditions
from nightcrawler_crds.validation import used_profiles, wanted_by

_NAME: Final = "dry-run"
_MOST_STEPS: Final = 10
"""First steps whose Jobs are sent to the API server."""


class _Taken(msgspec.Struct):
    """An object that the API server would take; what it made of it is not looked at."""


class DryRunService:
    """Asks the caches, the shared rules of the operator, and the API server itself."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        guard: Guard,
        workflows: WorkflowService,
        executions: ExecutionService,
        forecasts: Forecasts,
        defaults: PodDefaults,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._guard = guard
        self._workflows = workflows
        self._executions = executions
        self._forecasts = forecasts
        self._defaults = defaults
        self._nodes = ListedNodes(store)

    async def execution(self, workflow: str, request: ExecuteRequest, caller: Caller) -> ExecutionDryRun:
        """What would become of an execution; raises what creating it would raise."""
        entry = await self._guard.workflow(workflow, caller, Operation.EXECUTE)
        spec = self._executions.checked(entry, request)
        await self._executions.create_dry(entry, request, caller)
        return {"dryRun": True, "workflowId": workflow, **await self._run(entry, spec, request)}

    async def workflow(self, body: Mapping[str, Any], caller: Caller) -> WorkflowDryRun:
        """What would become of a workflow and an execution of it; raises what creating it would raise."""
        view = await self._workflows.create_dry(body, caller)
        entry = WorkflowEntry(view, Runs(), self._cluster.index.protections.of(view))
        request = ExecuteRequest()
        try:
            spec = self._executions.checked(entry, request)
        except (Invalid, StateConflict) as error:
            execution = _refused(conditions.WORKFLOW_NOT_ACCEPTED, error.detail)
        else:
            execution = await self._run(entry, spec, request)
        if wanted_by(view.spec):
            execution["notChecked"].append(
                "whether its notifications have targets: only the operator sees their Secrets"
            )
        return {
            "dryRun": True,
            "name": entry.name,
            "description": entry.description,
            "priority": entry.priority,
            "execution": execution,
        }

    async def _run(self, entry: WorkflowEntry, spec: WorkflowSpec, request: ExecuteRequest) -> Prospect:
        now, verdict = clock.utcnow(), Verdict()
        revision = Revision(_NAME, spec, used_profiles(spec, self._cluster.profiles()))
        asked = Question(
            revision=revision,
            wanted=request.environment,
            environments=self._cluster.environments(),
            nodes=await self._nodes.current(),
            limits=self._defaults,
            now=now,
        )
        suitable = suitable_places(asked, verdict)
        place, expected = self._forecasts.placed(
            entry, spec, request.environment, now, [one.name for one in suitable]
        )
        chosen = next((one for one in suitable if one.name == place), None)
        taken: list[str] = []
        if verdict.refused is None:
            look_at_place(chosen, expected.queue, asked, verdict)
            if self._forecasts.shares_limits(place):
                verdict.not_checked.append(
                    "how many runs of other namespaces are under way, which count towards a limit"
                )
            taken = await self._ask(entry, asked, chosen, request, verdict)
        if verdict.refused is not None:
            return _refused(*verdict.refused, verdict.not_checked)
        # Without Environments any name is taken.
        named = place or request.environment or next(iter(spec.environments or ()), None)
        shown: dict[str, Any] = {
            "wouldRun": True,
            "message": f"it would run in {named}" if named else "it would run in this cluster",
            **({"environment": named} if named else {}),
            **presenter.expected_now(expected, now),
            "steps": taken,
            "notChecked": verdict.not_checked,
        }
        if verdict.waits is not None:
            shown["waitingReason"], shown["message"] = verdict.waits
        return cast("Prospect", shown)

    async def _ask(
        self,
        entry: WorkflowEntry,
        asked: Question,
        chosen: Candidate | None,
        request: ExecuteRequest,
        verdict: Verdict,
    ) -> list[str]:
        """The first steps whose Jobs and Pods the API server would take.

        Raises:
            Unavailable: It does not answer, so nobody knows.
        """
        meta, uid = entry.view.metadata, str(uuid4())
        environment = chosen.spec if chosen is not None else EnvironmentSpec()
        run = Run(
            execution=_NAME,
            execution_uid=uid,
            namespace=meta.namespace,
            workflow=meta.name,
            revision=asked.revision,
            parameters=request.parameters or {},
            environment=environment,
            place=chosen.name if chosen is not None else request.environment,
            gpu_products=asked.nodes.gpu_products if asked.nodes is not None else frozenset(),
            volume=volume_of(asked.revision.spec, environment, self._defaults, Meta(name=_NAME, uid=uid)),
        )
        run = kept_where_all_fit(run, asked.nodes or NO_NODES, self._defaults)
        if run.volume is not None and not await self._takes_volume(run, run.volume, verdict):
            return []
        steps = asked.first_steps
        taken = [step for step in steps[:_MOST_STEPS] if await self._takes(run, step, verdict)]
        if len(steps) > _MOST_STEPS:
            others = f"{len(steps) - _MOST_STEPS} of the {len(steps)} steps that would start at once"
            verdict.not_checked.append(f"the Jobs of {others}: {_MOST_STEPS} are looked at")
        return taken

    async def _takes_volume(self, run: Run, volume: Volume, verdict: Verdict) -> bool:
        """Whether the API server would take the claim of the volume that the steps share."""
        body = volume_claim(run, volume)
        try:
            made = await self._store.create(VOLUME_CLAIMS, run.namespace, body, VolumeClaimView, dry_run=True)
        except Unavailable:
            raise
        except ApiError as error:
            look_at_refusal("the run", "volume", error, verdict)
            return False
        look_at_volume(made.spec.storage_class_name, verdict)
        return True

    async def _takes(self, run: Run, step: str, verdict: Verdict) -> bool:
        """Whether the API server would take the Job and the Pod of a step."""
        new = NewJob(step, 1, names.child_name(run.execution, run.execution_uid, step, 1))
        what = "Job"
        try:
            body = job(run, new, self._defaults)
            made = await self._store.create(JOBS, run.namespace, body, WholeJobView, dry_run=True)
            what = "Pod"
            await self._store.create(PODS, run.namespace, pod(made), _Taken, dry_run=True)
        except Unavailable:
            raise
        except ApiError as error:
            look_at_refusal(f"the step {step!r}", what, error, verdict)
            return False
        return True


def _refused(reason: str, message: str, not_checked: Sequence[str] = ()) -> Prospect:
    return {
        "wouldRun": False,
        "reason": reason,
        "message": message,
        "steps": [],
        "notChecked": list(not_checked),
    }
