"""After a long step the cached run is stale: it is read again before another Job is created."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import pytest

from nightcrawler_crds import names
from nightcrawler_operator.limits import Limits
from tests.support.modelserver import Json, ModelCluster, ModelServer
from tests.support.replica import JOBS, PODS, Replica, the_servers_time

RUN: Final = ("default", "run")
STEPS: Final = [
    {"name": "first", "image": "busybox:1"},
    {"name": "second", "image": "busybox:1", "dependsOn": ["first"]},
]


def _object(kind: str, name: str, spec: Json) -> Json:
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"namespace": RUN[0], "name": name},
        "spec": spec,
    }


class Run:
    """A run of two steps whose first has been running for some seconds, and its operator."""

    def __init__(self, runner: asyncio.Runner, server: ModelServer, *, seconds: float) -> None:
        self._runner = runner
        self.server = server
        self.cluster = ModelCluster(server)
        self.server.create(names.WORKFLOWS, _object("Workflow", "wf", {"steps": STEPS}))
        execution = {"workflowRef": {"name": "wf"}, "cancel": False}
        self.server.create(names.EXECUTIONS, _object("WorkflowExecution", RUN[1], execution))
        self.operator = Replica(self.server, Limits())
        self._work()
        self._life()
        self.operator.deliver_all()
        self.server.now += timedelta(seconds=3)  # the start is on record by now
        self._work()
        self.server.now += timedelta(seconds=seconds)

    def end_first_step(self) -> None:
        """The first step succeeds. The watches report that, but not the execution."""
        self._life()
        self.operator.deliver(PODS, 100)
        self.operator.deliver(JOBS, 100)
        self._work()

    @property
    def started(self) -> set[str]:
        """The steps for which a Job was ever made."""
        made = (job for kind, job in self.server.log["jobs"] if kind == "ADDED")
        return {job["metadata"]["annotations"][names.ANNOTATION_STEP] for job in made}

    def _life(self) -> None:
        for where in self.cluster.jobs():
            self.cluster.control_job(where)
        for where in self.cluster.pods():
            self.cluster.run_pod(where)

    def _work(self) -> None:
        while self._runner.run(self.operator.work()):
            pass


LONG: Final = 300.0


def test_a_long_step_is_followed_by_the_next() -> None:
    server = ModelServer()
    with the_servers_time(server) as runner:
        run = Run(runner, server, seconds=LONG)
        run.end_first_step()
        assert run.started == {"first", "second"}


@pytest.mark.parametrize("cascade", [True, False], ids=["with its Jobs", "without its Jobs"])
def test_no_job_is_made_for_a_run_that_was_deleted_unobserved(cascade: bool) -> None:
    server = ModelServer()
    with the_servers_time(server) as runner:
        run = Run(runner, server, seconds=LONG)
        server.delete(names.EXECUTIONS, RUN)
        if cascade:
            run.cluster.collect_garbage()
        run.end_first_step()
        assert run.started == {"first"}


def test_no_job_is_made_for_a_run_that_was_cancelled_unobserved() -> None:
    server = ModelServer()
    with the_servers_time(server) as runner:
        run = Run(runner, server, seconds=LONG)
        server.patch(names.EXECUTIONS, RUN, {"spec": {"cancel": True}})
        run.end_first_step()
        assert run.started == {"first"}
        assert server.get(names.EXECUTIONS, RUN)["status"]["phase"] == "Cancelled"
