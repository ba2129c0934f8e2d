"""What must hold at every write, whoever makes it and whatever went wrong before."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import TERMINAL_PHASES
from nightcrawler_crds.v1alpha1 import TERMINAL_STEP_PHASES, conditions
from tests.support.modelserver import Json, ModelServer, is_live, is_over, job_uid, state_of, step_and_attempt

_ORDER: Final = ("", "Pending", "Running", "Cancelling", "Completed", "Failed", "Cancelled")
_GRAIN: Final = timedelta(seconds=1)
PROGRAMS_FAULT: Final = frozenset({conditions.STEP_ERROR, conditions.STEP_TIMED_OUT})


class InvariantError(AssertionError):
    """A write broke an invariant."""


class Invariants:
    """Checks every write of one run.

    `depends` names for each step those before it. `keep` is for how many seconds Jobs stay after a run, and
    after one that failed; `patience` for how many something may be owed.
    """

    def __init__(
        self,
        server: ModelServer,
        depends: dict[str, list[str]],
        *,
        replicas: int,
        keep: tuple[float, float],
        patience: float,
    ) -> None:
        self.server = server
        self.keep, self.keep_failed = (timedelta(seconds=seconds) for seconds in keep)
        self.patience = timedelta(seconds=patience)
        self.depends = depends
        self.replicas = replicas
        self.succeeded: set[str] = set()
        self.jobs_made: Counter[tuple[str, int]] = Counter()
        """While the run was live; by step and attempt."""
        self.jobs_made_after_end: Counter[tuple[str, int]] = Counter()
        """By a stale replica, which does not know whether one was there before."""
        self.faults: dict[str, set[int]] = {}
        self.disturbed: set[str] = set()
        # UIDs of Jobs whose Pod succeeded by itself, and of those whose Pod's end was requested before.
        self._succeeded_jobs: set[str] = set()
        self._interrupted_jobs: set[str] = set()
        server.watchers.append(self.watch)

    def watch(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        """Check a write."""
        if resource == names.JOBS and old is None and new is not None:
            self._job_made(new)
        elif resource == names.PODS and old is None and new is not None:
            self._pod_made(new)
        elif resource == names.PODS and new is not None:
            self._pod_changed(new)
        elif resource in (names.PODS, names.JOBS) and old is not None and new is None:
            self.disturbed.add(step_and_attempt(old)[0])
            if resource == names.JOBS and self.server.by_the_operator:
                self._job_deleted(old)
        elif resource == names.EXECUTIONS and old is not None and new is not None:
            self._recorded(old.get("status", {}), new.get("status", {}))

    def _require(self, holds: bool, invariant: str) -> None:
        if not holds:
            raise InvariantError(invariant)

    def _status(self) -> Json:
        runs = list(self.server.of(names.EXECUTIONS).values())
        status: Json = runs[0].get("status", {}) if runs else {}
        return status

    def _job_made(self, job: Json) -> None:
        step, attempt = step_and_attempt(job)
        status = self._status()
        recorded = status.get("steps", {}).get(step, {})
        if not self._may_be_stale(status):
            self._require(
                recorded.get("phase") not in TERMINAL_STEP_PHASES,
                f"a step that has ended is not run again: {step}, attempt {attempt}, recorded {recorded}",
            )
            self._require(
                not self._success_is_there(step), f"a success that is there is not run again: {step}"
            )
        if self.replicas == 1:
            self._require(status.get("phase") not in TERMINAL_PHASES, "nothing begins in an ended run")
        for before in self.depends[step]:
            self._require(before in self.succeeded, f"{step} begins only after {before}")
        if attempt > 1:
            self._require(recorded.get("attempt") == attempt, "a further attempt is recorded first")
        made = self.jobs_made_after_end if self._may_be_stale(status) else self.jobs_made
        made[step, attempt] += 1

    def _job_deleted(self, job: Json) -> None:
        """The operator deletes live Jobs of an ended run, and all of them when their retention is over."""
        uid = job["metadata"]["uid"]
        self._require(
            any(owner["kind"] == "WorkflowExecution" for owner in job["metadata"].get("ownerReferences", ())),
            f"a Job that no run owns is not deleted: {job['metadata']['name']}",
        )
        step, attempt = step_and_attempt(job)
        recorded = self._status().get("steps", {}).get(step, {})
        if self.replicas > 1 or (recorded.get("phase"), recorded.get("attempt")) != ("Completed", attempt):
            return  # the replica that ends a run may not have observed the end of a Pod
        pods = [
            pod
            for pod in self.server.of(names.PODS).values()
            if job_uid(pod) == uid and names.LABEL_EXECUTION_UID in pod["metadata"].get("labels", {})
        ]
        # The time to keep them counts from the end of the last one, which is at least this one's.
        ends = [moment(end) for pod in pods if (end := state_of(pod).get("terminated", {}).get("finishedAt"))]
        keep = self.keep_failed if self._status().get("phase") == "Failed" else self.keep
        kept = self.server.now >= max(ends, default=self.server.now - keep) + keep - _GRAIN
        due = kept and self._status().get("phase") in TERMINAL_PHASES
        due = due and "Logs" not in self._status().get("duties", ())
        self._require(
            due or not pods or not all(map(is_over, pods)),
            f"the Job of a step that has completed is kept: {step}, at {self.server.now}",
        )

    def _success_is_there(self, step: str) -> bool:
        """Whether the cluster still shows that a step succeeded."""
        pods = [p for p in self.server.of(names.PODS).values() if step_and_attempt(p)[0] == step]
        jobs = [j for j in self.server.of(names.JOBS).values() if step_and_attempt(j)[0] == step]
        # The Job controller also counts a program that ended well because its Pod was deleted.
        whole = [j for j in jobs if j["metadata"]["uid"] not in self._interrupted_jobs]
        return any(map(_is_complete, whole)) or any(map(_succeeded, pods))

    def _only_its_job_shows_success(self, step: str) -> bool:
        """Whether the Job of a step is Complete and has no Pod any more.

        If its program ended well because the Pod was deleted, and nobody observed that, nothing shows it.
        """
        jobs = [j for j in self.server.of(names.JOBS).values() if step_and_attempt(j)[0] == step]
        with_pods = {job_uid(pod) for pod in self.server.of(names.PODS).values()}
        return any(_is_complete(job) and job["metadata"]["uid"] not in with_pods for job in jobs)

    def _may_be_stale(self, status: Json) -> bool:
        """Whether a second replica may not have observed the run's end.

        What it creates then is ended at once. A Pod of the first replica may have succeeded meanwhile,
        although its step was cancelled.
        """
        return self.replicas > 1 and status.get("phase") in TERMINAL_PHASES

    def _pod_made(self, pod: Json) -> None:
        step, attempt = step_and_attempt(pod)
        for other in self.server.of(names.PODS).values():
            if step_and_attempt(other)[0] == step:
                self._require(
                    not is_live(other), f"two Pods of {step} live: {step_and_attempt(other)[1]} and {attempt}"
                )

    def _pod_changed(self, pod: Json) -> None:
        step, _ = step_and_attempt(pod)
        if _succeeded(pod):
            self.succeeded.add(step)
            self._succeeded_jobs.add(job_uid(pod))
        if pod.get("status", {}).get("conditions") or "deletionTimestamp" in pod["metadata"]:
            self.disturbed.add(step)
            if job_uid(pod) not in self._succeeded_jobs:
                self._interrupted_jobs.add(job_uid(pod))

    def _recorded(self, old: Json, new: Json) -> None:
        was, is_now = old.get("phase", ""), new.get("phase", "")
        for key, notice in old.get("notifications", {}).items():
            self._require(
                notice["state"] == "Pending" or new["notifications"].get(key) == notice,
                f"what was sent, or given up, stays so: {key}",
            )
        if was in TERMINAL_PHASES:
            self._require(
                _without_duties(old) == _without_duties(new),
                f"what has ended is not written any more: {was} to {is_now}",
            )
            if old != new:
                self._duties_recorded(old, new)
        self._require(_ORDER.index(is_now) >= _ORDER.index(was), f"a phase goes back: {was} to {is_now}")
        for step, before in old.get("steps", {}).items():
            self._step_recorded(step, before, new["steps"][step])
        for step, after in new.get("steps", {}).items():
            if after["phase"] == "Completed":
                if self._only_its_job_shows_success(step):
                    self.succeeded.add(step)
                self._require(step in self.succeeded, f"{step} is Completed, but no Pod of it succeeded")
            if after.get("jobName"):
                made = self.jobs_made[step, after.get("attempt", 0)]
                self._require(bool(made), f"a Job of {step} is recorded that was never created")
            if after["phase"] in ("Retrying", "Failed") and after.get("reason") in PROGRAMS_FAULT:
                self.faults.setdefault(step, set()).add(after.get("attempt", 0))
        if is_now in TERMINAL_PHASES:
            self._require("completionTime" in new, "an end has a time")
            self._require("waitingReason" not in new, "what has ended does not wait")
        self._require(("waitingReason" in new) == ("waitingSince" in new), "a wait has a reason and a time")

    def _duties_recorded(self, old: Json, new: Json) -> None:
        owed, left = set(old.get("duties", ())), set(new.get("duties", ()))
        reported = old.get("notifications") != new.get("notifications")
        self._require(
            left < owed or (reported and left == owed), f"what a run owes only becomes less: {owed} to {left}"
        )
        self._require(new.get("settled") is (not left), f"settled: {new.get('settled')}, and owes {left}")
        run = next(iter(self.server.of(names.EXECUTIONS).values()))
        noted = run["metadata"].get("annotations", {}).get(names.ANNOTATION_DUTIES_DONE, "").split(",")
        overdue = self.server.now >= moment(new["completionTime"]) + self.patience
        said = [c for c in new["conditions"] if c["type"] == conditions.DUTIES_DONE]
        sent = all(notice["state"] != "Pending" for notice in new.get("notifications", {}).values())
        self._require(sent or "Notifications" in left, "what is Pending is owed")
        # What the operator does itself; that it was done, the tests of these duties check.
        done = {duty for duty in ("Notifications", "Trace") if not any(duty in c["message"] for c in said)}
        for duty in owed - left - set(noted) - done:
            self._require(overdue, f"{duty} is given up before its time")
            self._require(
                bool(said) and duty in said[0]["message"], f"{duty} was not done, and no message says so"
            )

    def _step_recorded(self, step: str, before: Json, after: Json) -> None:
        if before["phase"] in TERMINAL_STEP_PHASES:
            self._require(
                _without_events(before) == _without_events(after),
                f"a step that has ended is not written any more: {step}",
            )
        grown = after.get("attempt", 0) - before.get("attempt", 0)
        self._require(grown in (0, 1), f"attempts are counted one by one: {step}")
        if grown == 1 and before.get("attempt", 0):
            self._require(before["phase"] == "Retrying", f"an attempt follows a failed one only: {step}")
        ran = before.get("earlierSeconds", 0) + (_seconds(before) if grown else 0)
        self._require(after.get("earlierSeconds", 0) == ran, f"the time of all attempts of {step} is kept")
        disrupted = after.get("disruptions", 0) - before.get("disruptions", 0)
        self._require(disrupted in (0, 1), f"disruptions are counted one by one: {step}")
        self._require(
            not disrupted or step in self.disturbed,
            f"{step} is recorded as disrupted, but nothing disrupted it",
        )


def _without_duties(status: Json) -> Json:
    """A status without what may still change after the end of the run."""
    changing = ("settled", "duties", "notifications")
    rest = {key: value for key, value in status.items() if key not in changing}
    rest["messages"] = sorted(status.get("notifications", ()))
    rest["steps"] = {name: _without_events(step) for name, step in status.get("steps", {}).items()}
    rest["conditions"] = [c for c in rest.get("conditions", ()) if c["type"] != conditions.DUTIES_DONE]
    return rest


def _seconds(step: Json) -> int:
    """For how many seconds the container of a step's attempt ran."""
    if "startTime" not in step or "completionTime" not in step:
        return 0
    return round((moment(step["completionTime"]) - moment(step["startTime"])).total_seconds())


def _without_events(step: Json) -> Json:
    """A step's status without the Events about its Pods, which are collected later."""
    attempts = [{k: v for k, v in attempt.items() if k != "events"} for attempt in step.get("attempts", ())]
    return {**step, "attempts": attempts}


def moment(text: str) -> datetime:
    """A time on the wire."""
    return datetime.fromisoformat(text)


def _is_complete(job: Json) -> bool:
    return any(condition["type"] == "Complete" for condition in job.get("status", {}).get("conditions", ()))


def _succeeded(pod: Json) -> bool:
    """Whether a Pod succeeded before its deletion was requested."""
    status = pod.get("status", {})
    asked = "deletionTimestamp" in pod["metadata"] or status.get("conditions")
    # A kubelet reports the end of a container before it sets the phase; after a deadline that is Failed.
    well = state_of(pod).get("terminated", {}).get("exitCode") == 0
    return (status.get("phase") == "Succeeded" or (well and status.get("phase") != "Failed")) and not asked
