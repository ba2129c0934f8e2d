"""How a run goes on: the progress of every step, and from it the status of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from nightcrawler_crds.building.run import Run, kept_where_all_fit
from nightcrawler_crds.kube.views import CostView, ExecutionStatusView, StepStatusView
from nightcrawler_crds.masking import used_secrets
from nightcrawler_crds.planning.cost import run_cost
from nightcrawler_crds.planning.resolved import run_timeout
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import is_secure
from nightcrawler_operator.decisions import jobs, run_end
from nightcrawler_operator.decisions.attemptrecords import with_attempts
from nightcrawler_operator.decisions.context import NOT_BEGUN, StepContext
from nightcrawler_operator.decisions.dominant import dominant, waits
from nightcrawler_operator.decisions.inference import inferred_complete
from nightcrawler_operator.decisions.notifications.outbox import late_at, with_notices
from nightcrawler_operator.decisions.pending import POD_EXPECTED
from nightcrawler_operator.decisions.quota import ASK_AFTER, jobs_to_make_room
from nightcrawler_operator.decisions.status import status_patch
from nightcrawler_operator.decisions.steps import Progress, advance, seconds_run
from nightcrawler_operator.decisions.usage import run_usage, with_usage
from nightcrawler_operator.decisions.volumeclaims import missing_volume
from nightcrawler_operator.decisions.writing import goes_well, to_be_written_by, unwritten
from nightcrawler_operator.plan import Done, LookForSecrets, Outcome, Plan, Waiting
from nightcrawler_operator.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Picture:
    """A run with the progress of its steps, as the rules see it. `status` is what is recorded so far."""

    snapshot: Snapshot
    run: Run
    status: ExecutionStatusView
    steps: dict[str, Progress]

    @property
    def states(self) -> dict[str, StepStatusView | None]:
        """The current status of each step; a step whose Job is only planned has not begun."""
        return {name: None if one.first_job else one.status for name, one in self.steps.items()}

    def phases(self, *phases: str) -> list[StepStatusView]:
        """The statuses that are in one of these phases."""
        return [p.status for p in self.steps.values() if p.status is not None and p.status.phase in phases]


Rule = Callable[[Picture], Plan | None]


def plan(snapshot: Snapshot, run: Run, status: ExecutionStatusView) -> Plan:
    """What to write for an accepted execution; `status` is recorded, or will be by this plan."""
    picture = Picture(snapshot, run, status, _advance_all(snapshot, run))
    for rule in RULES:
        answer = rule(picture)
        if answer is not None:
            return answer
    raise AssertionError("the last rule always answers")


def _advance_all(snapshot: Snapshot, run: Run) -> dict[str, Progress]:
    """The progress of every step: of those that have begun, then of those that may begin now."""
    revision = run.revision
    recorded = _known(snapshot, run)
    begun: dict[str, Progress] = {}
    for name, step in revision.steps.items():
        status = recorded.get(name)
        if (status is not None and status.attempt) or (name, 1) in snapshot.attempts or _over(status):
            begun[name] = advance(StepContext(step, status or NOT_BEGUN, run, snapshot), {})
    failed = any(p.status is not None and p.status.phase == "Failed" for p in begun.values())
    steps: dict[str, Progress] = {}
    for name, step in revision.steps.items():
        if name in begun:
            steps[name] = begun[name]
        elif failed or snapshot.execution.spec.cancel:
            steps[name] = Progress(recorded.get(name))
        else:
            before = {d: _state(begun, d) for d in revision.depends[name]}
            status = recorded.get(name, NOT_BEGUN)
            steps[name] = advance(StepContext(step, status, run, snapshot), before)
    return steps


def _known(snapshot: Snapshot, run: Run) -> Mapping[str, StepStatusView]:
    """The recorded steps, with those that are known to have completed although that is not recorded yet.

    These stay completed, whatever becomes of their Jobs and Pods before it is recorded.
    """
    recorded = snapshot.execution.status.steps
    seen = {n: s for n, s in snapshot.completed.items() if goes_well(recorded.get(n), s)}
    known = {**recorded, **seen} if seen else recorded
    inferred = inferred_complete(snapshot, run, known)
    return {**known, **inferred} if inferred else known


def _state(begun: dict[str, Progress], name: str) -> StepStatusView:
    one = begun.get(name)
    return one.status if one is not None and one.status is not None else NOT_BEGUN


def _over(status: StepStatusView | None) -> bool:
    return status is not None and status.phase in ("Failed", "Skipped", "Cancelled")


# --- the rules ---------------------------------------------------------------------------------------


def _look_for_secrets(picture: Picture) -> Plan | None:
    """A message may have the value of a Secret in it: the Secrets are read before it is recorded."""
    snapshot, run = picture.snapshot, picture.run
    if not snapshot.limits.mask_secrets or snapshot.mask is not None or not is_secure(run.revision.spec):
        return None
    recorded = snapshot.execution.status.steps
    known = {name: status.message for name, status in recorded.items()}
    new = (p.status.message != known.get(name) for name, p in picture.steps.items() if p.status is not None)
    if not any(new):
        return None
    used = used_secrets(run.revision.spec, run.revision.profiles, run.environment.pod_template)
    return Plan(lookups=(LookForSecrets(used),))


def _complete(picture: Picture) -> Plan | None:
    total = len(picture.steps)
    if len(picture.phases("Completed")) < total:
        return None
    message = f"all {total} steps completed" if total > 1 else "its step completed"
    return _ended(picture, _steps_of(picture), "Completed", conditions.SUCCEEDED, message)


def _cancelled(picture: Picture) -> Plan | None:
    snapshot = picture.snapshot
    if not snapshot.execution.spec.cancel:
        return None
    since = _cancelling_since(picture) or snapshot.now
    over = since + timedelta(seconds=snapshot.limits.cancel_grace)
    if snapshot.now < over and not jobs.is_quiet(snapshot):
        return _cancelling(picture, over)
    # A Pod in which nothing runs is not left over: its kubelet has not set its phase yet.
    what = jobs.what_may_run(snapshot)
    left = f"; after {snapshot.limits.cancel_grace:g} s {what}" if what else ""
    reason = conditions.CANCELLED_WITH_PODS_LEFT if what else conditions.RUN_CANCELLED
    steps = run_end.close_steps(picture.states, snapshot, conditions.STEP_CANCELLED, "was cancelled")
    return _ended(picture, steps, "Cancelled", reason, "cancelled" + left)


def _step_timed_out(picture: Picture) -> Plan | None:
    """A step that exceeds its timeout is recorded as failed before its program is ended."""
    over = {n: p.status for n, p in picture.steps.items() if p.record_first and p.status is not None}
    if not any(status.phase == "Failed" for status in over.values()):
        return None
    recorded = picture.snapshot.execution.status
    wanted = run_end.replace_status(picture.status, steps={**recorded.steps, **over})
    return Plan(status=status_patch(recorded, wanted), outcome=Waiting(picture.snapshot.now))


def _failed(picture: Picture) -> Plan | None:
    failed = picture.phases("Failed")
    if not failed:
        return None
    first = min(failed, key=lambda s: str(s.completion_time))
    name = next(n for n, p in picture.steps.items() if p.status is first)
    message = first.message or f"step {name!r} failed"
    stopped = f"was ended because step {name!r} failed"
    steps = run_end.close_steps(picture.states, picture.snapshot, conditions.STEP_CANCELLED, stopped)
    # A step that waited too long for a node did not fail: the run timed out.
    queue = first.reason == conditions.STEP_QUEUE_TIMED_OUT
    reason = conditions.QUEUE_TIMED_OUT if queue else conditions.STEP_FAILED
    return _ended(picture, steps, "Failed", reason, message)


def _out_of_time(picture: Picture) -> Plan | None:
    deadline = _deadline(picture)
    if deadline is None or picture.snapshot.now < deadline:
        return None
    config = picture.run.revision.spec.config
    written = (
        config.timeout
        if config and config.timeout is not None
        else f"{picture.snapshot.limits.default_timeout:g} s"
    )
    message = f"took longer than its timeout of {written}"
    stopped = "was ended because the run " + message
    steps = run_end.close_steps(
        picture.states, picture.snapshot, conditions.STEP_TIMED_OUT, stopped, begun="Failed"
    )
    return _ended(picture, steps, "Failed", conditions.TIMED_OUT, message)


def _on_its_way(picture: Picture) -> Plan | None:
    snapshot = picture.snapshot
    recorded = snapshot.execution.status
    steps = picture.steps
    states = {name: p.status for name, p in steps.items() if p.status is not None}
    waiting = dominant(states)
    wanted = run_end.replace_status(
        picture.status,
        **_waits(picture, waiting),
        phase="Running" if _started(picture) else "Pending",
        message=_message(picture, waiting),
        start_time=_started(picture),
        progress=_progress(picture),
        steps=states,
    )
    wanted = with_notices(snapshot, with_attempts(snapshot, wanted))
    patch = status_patch(recorded, wanted)
    write_by = to_be_written_by(snapshot, steps, patch, wanted)
    first = [p.first_job for p in steps.values() if p.first_job]
    later = [p.later_job for p in steps.values() if p.later_job]
    write_now = bool(patch) and (write_by is None or write_by <= snapshot.now)
    look_at = [p.look_at for p in steps.values() if p.look_at]
    look_at += [moment for moment in (_deadline(picture), _late(picture)) if moment]
    if patch and not write_now and write_by is not None:
        look_at.append(write_by)
    if first or later:
        # Usually a Pod wakes the run; if none is created, nothing would.
        look_at.append(snapshot.now + POD_EXPECTED)
    run = kept_where_all_fit(picture.run, snapshot.nodes, snapshot.limits) if first or later else picture.run
    room = jobs_to_make_room(snapshot)
    if room:
        look_at.append(snapshot.now + ASK_AFTER)
    return Plan(
        run=run,
        volume=missing_volume(snapshot, run) if first else None,
        delete_jobs=tuple(old for p in steps.values() for old in p.delete_jobs),
        force_delete_pods=tuple(old for p in steps.values() for old in p.force_delete),
        room=room,
        first_jobs=tuple(first),
        missing_pods=tuple(p.missing_pod for p in steps.values() if p.missing_pod),
        status=patch if write_now else None,
        deadlines=tuple(p.deadline for p in steps.values() if p.deadline),
        later_jobs=tuple(later),
        ended_jobs=jobs.ended_jobs(snapshot.attempts.values()),
        freed_pods=jobs.freed_pods(snapshot.attempts, states if write_now else recorded.steps),
        lookups=tuple(one for p in steps.values() for one in p.lookups),
        completed=unwritten(recorded, states),
        outcome=_outcome(look_at),
    )


RULES: Final[Sequence[Rule]] = (
    _look_for_secrets,  # before all that writes
    _complete,  # before cancellation: a completed run cannot be cancelled
    _cancelled,
    _step_timed_out,  # before the end of the run, which deletes what still runs
    _failed,  # before the timeout of the run: the error says more
    _out_of_time,
    _on_its_way,
)


# --- pieces ------------------------------------------------------------------------------------------


def _cancelling(picture: Picture, over: datetime) -> Plan:
    snapshot = picture.snapshot
    # Steps that ended by themselves are recorded; those being ended stay as they are until they are gone.
    kept = {
        name: one.status if one.status.phase in ("Completed", "Failed") else recorded or one.status
        for name, one in picture.steps.items()
        if one.status is not None
        for recorded in (snapshot.execution.status.steps.get(name),)
    }
    wanted = run_end.cancelling(snapshot, picture.status, "its Pods are being ended")
    wanted = run_end.replace_status(wanted, steps=kept, progress=_progress(picture))
    wanted = with_notices(snapshot, with_attempts(snapshot, wanted))
    patch = status_patch(snapshot.execution.status, wanted)
    return Plan(
        delete_jobs=jobs.live_jobs(snapshot),
        delete_pods=jobs.orphaned_pods(snapshot),
        status=patch or None,
        outcome=Waiting(over),
    )


def _ended(picture: Picture, steps: dict[str, StepStatusView], phase: str, reason: str, message: str) -> Plan:
    steps = with_usage(steps, picture.snapshot, picture.run)
    status = run_end.replace_status(
        picture.status,
        steps=steps,
        progress=_progress(picture),
        start_time=_started(picture),
        cost=_cost(picture, steps),
        resource_usage=run_usage(steps, picture.snapshot, picture.run),
    )
    # Last: what a run owes follows from all the rest of its status.
    return run_end.ended(picture.snapshot, run_end.finish(picture.snapshot, status, phase, reason, message))


def _cost(picture: Picture, steps: Mapping[str, StepStatusView]) -> CostView | None:
    """What the run has cost, at the prices that its Environment has now."""
    run, snapshot = picture.run, picture.snapshot
    seconds = {name: status.earlier_seconds + seconds_run(status) for name, status in steps.items()}
    amount = run_cost(run.revision, run.environment, seconds, snapshot.nodes.gpu_products, snapshot.limits)
    prices = run.environment.prices
    return None if amount is None or prices is None else CostView(amount, prices.currency)


def _steps_of(picture: Picture) -> dict[str, StepStatusView]:
    return {name: p.status for name, p in picture.steps.items() if p.status is not None}


def _started(picture: Picture) -> datetime | None:
    """When the first Pod started; recorded once."""
    if picture.status.start_time is not None:
        return picture.status.start_time
    return min(
        (p.status.start_time for p in picture.steps.values() if p.status and p.status.start_time),
        default=None,
    )


def _deadline(picture: Picture) -> datetime | None:
    """When the run exceeds its timeout; None before its first Pod has started."""
    started = _started(picture)
    if started is None:
        return None
    return started + timedelta(seconds=run_timeout(picture.run.revision.spec, picture.snapshot.limits))


def _late(picture: Picture) -> datetime | None:
    """When the run becomes late, if that is still to come."""
    late = late_at(picture.snapshot, _started(picture))
    return late if late is not None and late > picture.snapshot.now else None


def _cancelling_since(picture: Picture) -> datetime | None:
    finished = next((c for c in picture.status.conditions if c.type == conditions.FINISHED), None)
    return finished.last_transition_time if finished is not None else None


def _progress(picture: Picture) -> str:
    return f"{len(picture.phases('Completed'))}/{len(picture.steps)}"


def _waits(picture: Picture, step: str | None) -> dict[str, Any]:
    """Why the run waits, by the step whose reason says most."""
    one = picture.steps[step] if step is not None else None
    if one is None or one.status is None:
        return waits(picture.status, None, None)
    return waits(picture.status, one.status.reason, one.waits_since or picture.snapshot.now)


def _message(picture: Picture, waiting: str | None) -> str | None:
    """The message of a live run: that of the step for which it waits, else of the first with a problem."""
    if waiting is not None and (status := picture.steps[waiting].status) and status.message:
        return status.message
    for one in picture.steps.values():
        status = one.status
        if status is not None and status.message and status.phase in ("Pending", "Running", "Retrying"):
            return status.message
    return None


def _outcome(moments: list[datetime]) -> Outcome:
    return Waiting(min(moments)) if moments else Done()
