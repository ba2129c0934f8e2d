"""A model of the API server and its controllers, in memory, for property tests of whole runs.

It keeps objects with resourceVersions and a log of events a kind, refuses conflicting writes as the
real one does, and asks `watchers` about every write before it takes it. Time is its own and stands
still unless moved. What it lacks is everything that the tests do not need: schemas, users, paging.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.names import Resource
from tests.support.merging import merge, without_nulls

Json = dict[str, Any]
Where = tuple[str, str]
Watcher = Callable[[Resource, Json | None, Json | None], None]
"""Called before a write with the object as it was and as it will be; raises if that must not be."""

Gate = Callable[[Resource, Json], None]
"""Called before an object is created; raises the error with which the server does not take it."""

GRACE: Final = 30
_LATE: Final = {"phase": "Failed", "reason": "DeadlineExceeded"}
_BEGAN: Final = datetime(2025, 7, 10, 14, 0, 0, tzinfo=UTC)


class ModelServer:
    """Objects by kind, namespace and name."""

    def __init__(self, *, knows_managed_jobs: bool = True) -> None:
        self.knows_managed_jobs = knows_managed_jobs
        self.now = _BEGAN
        self.version = 100
        self.objects: dict[str, dict[Where, Json]] = {}
        self.log: dict[str, list[tuple[str, Json]]] = {}
        self.watchers: list[Watcher] = []
        self.in_flight: list[Callable[[], object]] = []
        """Requests of processes that have died since."""
        self.gates: list[Gate] = []
        self.made = 0
        self.by_the_operator = False

    @contextlib.contextmanager
    def asked_by_the_operator(self) -> Iterator[None]:
        """Count writes within as the operator's."""
        self.by_the_operator = True
        try:
            yield
        finally:
            self.by_the_operator = False

    # --- requests ----------------------------------------------------------------------------------

    def of(self, resource: Resource) -> dict[Where, Json]:
        """All objects of a kind."""
        return self.objects.setdefault(resource.plural, {})

    def at_version(self, resource: Resource, version: int) -> dict[Where, Json]:
        """All objects of a kind as they were at a version."""
        then: dict[Where, Json] = {}
        for kind, body in self.log.get(resource.plural, []):
            meta = body["metadata"]
            if int(meta["resourceVersion"]) > version:
                break
            where = (meta.get("namespace", ""), meta["name"])
            if kind == "DELETED":
                then.pop(where, None)
            else:
                then[where] = body
        return then

    def get(self, resource: Resource, where: Where) -> Json:
        """An object; `NotFound` if there is none."""
        found = self.of(resource).get(where)
        if found is None:
            raise errors.NotFound(f"no {resource.kind} {where}")
        return found

    def create(self, resource: Resource, body: Json) -> Json:
        """Create an object; `AlreadyExists` if one has its name."""
        new = without_nulls(copy.deepcopy(body))
        meta = new["metadata"]
        where = (meta.get("namespace", ""), meta["name"])
        if where in self.of(resource):
            raise errors.AlreadyExists(f"{resource.kind} {where} is there")
        for gate in self.gates:
            gate(resource, new)
        self.made += 1
        uid = f"uid-{self.made}"
        if resource == names.JOBS:
            marks = {"job-name": meta["name"], "controller-uid": uid}
            labels = new["spec"]["template"]["metadata"]["labels"]
            labels |= {f"batch.kubernetes.io/{key}": value for key, value in marks.items()}
            if not self.knows_managed_jobs:
                new["spec"].pop("managedBy", None)
        meta |= {"uid": uid, "creationTimestamp": to_wire(self.now), "generation": 1}
        return self._put(resource, where, None, new, "ADDED")

    def patch(self, resource: Resource, where: Where, body: Json, subresource: str = "") -> Json:
        """Merge a patch; `Conflict` if it names another resourceVersion."""
        old = self.get(resource, where)
        asked = body.get("metadata", {}).get("resourceVersion")
        if asked is not None and asked != old["metadata"]["resourceVersion"]:
            raise errors.Conflict(f"{resource.kind} {where} has changed")
        kept = {"status"} if subresource == "status" else {"metadata", "spec"}
        new = merge(copy.deepcopy(old), {key: value for key, value in body.items() if key in kept})
        if without_nulls(new) == old:
            return old
        if not resource.namespaced and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        return self._put(resource, where, old, without_nulls(new), "MODIFIED")

    def delete(
        self, resource: Resource, where: Where, uid: str | None = None, grace: int | None = None
    ) -> None:
        """Delete an object; a live Pod on a node only gets its deletionTimestamp, unless `grace` is 0.

        One with a finalizer stays, marked, until that is removed.
        """
        old = self.get(resource, where)
        if uid is not None and old["metadata"]["uid"] != uid:
            raise errors.Conflict("another object has that name")
        if resource == names.PODS:
            waits = is_live(old) and grace != 0 and "nodeName" in old.get("spec", {})
            if waits and "deletionTimestamp" in old["metadata"]:
                return
            if waits or old["metadata"].get("finalizers"):
                seconds = GRACE if waits else 0
                when = to_wire(self.now + timedelta(seconds=seconds))
                marks = {"deletionTimestamp": when, "deletionGracePeriodSeconds": seconds}
                self.patch(resource, where, {"metadata": marks})
                return
        self._put(resource, where, old, None, "DELETED")

    def arrive(self, which: int) -> None:
        """Carry out one of the requests in flight; its response is lost."""
        if self.in_flight:
            request = self.in_flight.pop(which % len(self.in_flight))
            with self.asked_by_the_operator(), contextlib.suppress(errors.ApiError):
                request()

    def _put(self, resource: Resource, where: Where, old: Json | None, new: Json | None, kind: str) -> Json:
        for watcher in self.watchers:
            watcher(resource, old, new)
        self.version += 1
        event = copy.deepcopy(new if new is not None else old)
        assert event is not None
        event["metadata"]["resourceVersion"] = str(self.version)
        if new is None:
            del self.of(resource)[where]
        else:
            self.of(resource)[where] = event
        self.log.setdefault(resource.plural, []).append((kind, event))
        return event


def is_live(pod: Json) -> bool:
    """Whether anything of a Pod may still run."""
    if pod["metadata"].get("deletionGracePeriodSeconds") == 0:
        return False
    return pod.get("status", {}).get("phase", "Pending") not in ("Succeeded", "Failed")


def state_of(pod: Json) -> Json:
    """The state of the step's container; empty before it has one."""
    state: Json = pod.get("status", {}).get("containerStatuses", [{}])[0].get("state", {})
    return state


def is_over(pod: Json) -> bool:
    """Whether no container of a Pod runs any more, whatever its phase says."""
    return not is_live(pod) or "terminated" in state_of(pod)


def job_uid(pod: Json) -> str:
    """The UID of the Job that a Pod is of."""
    return str(pod["metadata"]["ownerReferences"][0]["uid"])


def step_and_attempt(body: Json) -> tuple[str, int]:
    """The step and the attempt of a Job or a Pod."""
    marks = body["metadata"]["annotations"]
    return marks[names.ANNOTATION_STEP], int(marks[names.ANNOTATION_ATTEMPT])


class ModelCluster:
    """Job controller, garbage collector and kubelet; each method is one small thing that one of them does.

    `graceful` programs end with exit code 0 on SIGTERM.
    """

    def __init__(self, server: ModelServer, *, graceful: bool = False) -> None:
        self.server = server
        self.graceful = graceful
        self._has_made: set[str] = set()

    def jobs(self) -> list[Where]:
        """All Jobs."""
        return list(self.server.of(names.JOBS))

    def pods(self) -> list[Where]:
        """All Pods."""
        return list(self.server.of(names.PODS))

    def control_job(self, where: Where) -> None:
        """The Job controller creates the one Pod of a Job, or reports how that ended."""
        job = self.server.of(names.JOBS).get(where)
        if job is None or job.get("status", {}).get("conditions") or "managedBy" in job["spec"]:
            return
        uid = job["metadata"]["uid"]
        own = [pod for pod in self.server.of(names.PODS).values() if job_uid(pod) == uid]
        if uid not in self._has_made:
            template = copy.deepcopy(job["spec"]["template"])
            owner = {"kind": "Job", "name": where[1], "uid": uid, "controller": True}
            meta = {**template["metadata"], "namespace": where[0], "name": f"{where[1]}-pod"}
            meta["ownerReferences"] = [owner]
            body = {"metadata": meta, "spec": template["spec"], "status": {"phase": "Pending"}}
            # The Pod of an earlier Job of this name may still be ending. Only a second leader with a stale
            # cache makes such a Job; its program then starts later.
            with contextlib.suppress(errors.Unavailable, errors.AlreadyExists):
                self.server.create(names.PODS, body)
                self._has_made.add(uid)
        elif not any(is_live(pod) for pod in own):
            ended = "Complete" if any(pod["status"]["phase"] == "Succeeded" for pod in own) else "Failed"
            condition = {"type": ended, "status": "True", "lastTransitionTime": to_wire(self.server.now)}
            self.server.patch(names.JOBS, where, {"status": {"conditions": [condition]}}, "status")

    def delete_pod(self, where: Where) -> None:
        """Delete a Pod; one that has ended stays until its Job has counted it, by its finalizer."""
        pod = self.server.of(names.PODS)[where]
        if not is_live(pod):
            self.control_job((where[0], where[1].removesuffix("-pod")))
        self.server.delete(names.PODS, where)

    def collect_garbage(self) -> None:
        """Delete the Pods of Jobs, and the Jobs and claims of executions, that are gone."""
        runs = {run["metadata"]["uid"] for run in self.server.of(names.EXECUTIONS).values()}
        for resource in (names.JOBS, names.VOLUME_CLAIMS):
            for where, child in list(self.server.of(resource).items()):
                owners = {owner["uid"] for owner in child["metadata"].get("ownerReferences", ())}
                if owners and not owners & runs:
                    self.server.delete(resource, where)
        uids = {job["metadata"]["uid"] for job in self.server.of(names.JOBS).values()}
        for where, pod in list(self.server.of(names.PODS).items()):
            if job_uid(pod) in uids:
                continue
            if pod["metadata"].get("finalizers"):  # the Job controller's, which it takes off then
                self.server.patch(names.PODS, where, {"metadata": {"finalizers": None}})
            self.server.delete(names.PODS, where)

    def run_pod(self, where: Where, exit_code: int = 0) -> None:
        """The kubelet takes a Pod one step further: it starts, ends with that code, or is removed."""
        pod = self.server.of(names.PODS).get(where)
        if pod is None:
            return
        going = "deletionTimestamp" in pod["metadata"]
        state = state_of(pod)
        if going and (not is_live(pod) or not state):
            self.server.delete(names.PODS, where, grace=0)
        elif "running" in state and pod["status"].get("reason") == _LATE["reason"]:
            self._end(where, 0 if self.graceful else 137, state, **_LATE)
        elif not is_live(pod):
            return
        elif "terminated" in state:
            self._report(
                where, state, phase="Succeeded" if state["terminated"]["exitCode"] == 0 else "Failed"
            )
        elif going:
            self._end(where, 0 if self.graceful else 143, state)
        elif state and self._is_over_time(pod):
            self._report(where, state, **_LATE)  # the container's end is in the kubelet's next report
        elif not state and not self._has_claims(pod):
            return  # the scheduler finds no node for it
        elif not state:
            self._report(where, {"running": {"startedAt": to_wire(self.server.now)}}, phase="Running")
        else:
            self._end(where, exit_code, state)

    def _has_claims(self, pod: Json) -> bool:
        wanted = [volume.get("persistentVolumeClaim") for volume in pod["spec"].get("volumes", ())]
        where = pod["metadata"]["namespace"]
        claims = self.server.of(names.VOLUME_CLAIMS)
        return all((where, claim["claimName"]) in claims for claim in wanted if claim)

    def end_container(self, where: Where, exit_code: int = 0) -> None:
        """The step's container ends by itself, in time; a busy kubelet sets the Pod's phase later."""
        pod = self.server.of(names.PODS).get(where)
        state = state_of(pod) if pod is not None else {}
        if pod is not None and is_live(pod) and "running" in state and not self._is_over_time(pod):
            self._end(where, exit_code, state, phase="Running")

    def strip_labels(self, resource: Resource, where: Where) -> None:
        """Remove our labels from a Job or a Pod."""
        ours = (names.LABEL_EXECUTION_UID, names.LABEL_EXECUTION, names.LABEL_WORKFLOW)
        self.server.patch(resource, where, {"metadata": {"labels": dict.fromkeys(ours)}})

    def _is_over_time(self, pod: Json) -> bool:
        seconds = pod.get("spec", {}).get("activeDeadlineSeconds")
        if seconds is None:
            return False
        taken = datetime.fromisoformat(pod["status"]["startTime"])
        return self.server.now >= taken + timedelta(seconds=seconds)

    def evict_pod(self, where: Where) -> None:
        """The kubelet ends a Pod because its node is short of something."""
        pod = self.server.of(names.PODS).get(where)
        if pod is None or not is_live(pod):
            return
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": to_wire(self.server.now),
        }
        status = {"phase": "Failed", "reason": "Evicted", "conditions": [condition]}
        self.server.patch(names.PODS, where, {"status": status}, "status")

    def _end(self, where: Where, code: int, state: Json, **fields: str) -> None:
        now = to_wire(self.server.now)
        ended = {"exitCode": code, "startedAt": state["running"]["startedAt"], "finishedAt": now}
        phase = "Succeeded" if code == 0 else "Failed"
        self._report(where, {"terminated": ended}, **{"phase": phase, **fields})

    def _report(self, where: Where, state: Json, **fields: str) -> None:
        status: Json = {**fields, "containerStatuses": [{"name": names.STEP_CONTAINER, "state": state}]}
        known = self.server.of(names.PODS)[where].get("status", {})
        status["startTime"] = known.get("startTime") or to_wire(self.server.now)
        self.server.patch(names.PODS, where, {"status": status}, "status")
        self.server.patch(names.PODS, where, {"spec": {"nodeName": "node-1"}})
