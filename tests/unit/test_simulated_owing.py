"""As many runs as may owe something, and one more; and an hour, and a day, in which nobody does any of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.namespaces import Namespaces
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.limits import Limits
from tests.support.modelserver import Json, ModelCluster, ModelServer
from tests.support.replica import Replica, the_servers_time

SERVED: Final = Namespaces(frozenset(("default",)))
LIMITS: Final = Limits(archived=SERVED, logged=SERVED)
MOST: Final = LIMITS.max_owing_runs
OLDEST: Final = "past-1234"
_STRIDE: Final = 7
"""Prime to the number of runs, so that they are not listed in the order of their age."""


class Installation:
    """An operator with the usual limits, and runs of one workflow; nobody keeps logs or archives."""

    def __init__(self) -> None:
        self.server = ModelServer()
        self.cluster = ModelCluster(self.server)
        steps = [{"name": "a", "image": "b:1", "retries": 0}]
        workflow = {"metadata": {"name": "wf", "namespace": "default"}, "spec": {"steps": steps}}
        self.server.create(names.WORKFLOWS, workflow | {"kind": "Workflow"})
        first = self.server.now - timedelta(seconds=MOST)
        for number in range(MOST):
            seconds = (number - int(OLDEST.partition("-")[2])) * _STRIDE % MOST
            self.begin(f"past-{number}", self.owing(to_wire(first + timedelta(seconds=seconds))))
        self.operator = Replica(self.server, LIMITS)

    @staticmethod
    def owing(ended: str) -> Json:
        """The status of a run that has ended and of which the logs are to be kept."""
        return {"phase": "Completed", "completionTime": ended, "settled": False, "duties": ["Logs"]}

    def begin(self, name: str, status: Json | None = None) -> None:
        """Create a run; with a status, one that the operator has run before."""
        body = {
            "kind": "WorkflowExecution",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"workflowRef": {"name": "wf"}, "cancel": False},
        }
        self.server.create(names.EXECUTIONS, body | ({"status": status} if status else {}))

    def statuses(self) -> dict[str, Json]:
        """The status of every run by its name."""
        found = self.server.of(names.EXECUTIONS).items()
        return {name: body.get("status", {}) for (_, name), body in found}

    async def work(self) -> None:
        """Let operator and cluster work until there is nothing to do."""
        before = -1
        while before != self.server.version:
            before = self.server.version
            for where in self.cluster.jobs():
                self.cluster.control_job(where)
            for where in self.cluster.pods():
                self.cluster.run_pod(where)
            self.operator.deliver_all()
            while await self.operator.work():
                pass

    async def work_after(self, seconds: float) -> None:
        """The same, so much later."""
        self.server.now += timedelta(seconds=seconds)
        await self.work()


def said(status: Json) -> tuple[str, str]:
    """The reason and the message on duties that were not done; empty if there are none."""
    one: Json = next((c for c in status.get("conditions", ()) if c["type"] == conditions.DUTIES_DONE), {})
    return one.get("reason", ""), one.get("message", "")


@contextmanager
def an_installation() -> Iterator[tuple[Installation, asyncio.Runner]]:
    """One in which the run `new` has ended beside as many as may owe something."""
    made = Installation()

    async def story() -> None:
        await made.work()
        assert not made.operator.settled, "as many as there may be"
        made.begin("new")
        await made.work()

    with the_servers_time(made.server) as runner:
        runner.run(story())
        yield made, runner


def test_of_one_run_too_many_that_owes_something_the_oldest_is_settled_and_says_so() -> None:
    with an_installation() as (made, _):
        statuses = made.statuses()
    assert [name for name, status in statuses.items() if status["settled"]] == [OLDEST]
    most = f"more than {MOST} runs owed something, and this was among the oldest"
    assert said(statuses[OLDEST]) == (conditions.TOO_MANY_OWE, f"not done: Logs: {most}")
    assert "duties" not in statuses[OLDEST]
    assert len(statuses) == MOST + 1
    assert statuses["new"]["duties"] == ["Logs", "Archive"]
    others = [status for name, status in statuses.items() if name not in (OLDEST, "new")]
    assert all(status["duties"] == ["Logs"] and not said(status)[0] for status in others)


def test_what_nobody_does_within_an_hour_and_a_day_settles_every_run_once_and_is_said() -> None:
    with an_installation() as (made, runner):

        async def an_hour_later() -> None:
            made.server.now += timedelta(seconds=LIMITS.duty_timeout)
            for _ in range(MOST // 3):
                await made.operator.work()
            made.operator.start()  # it died in the middle
            await made.work()

        runner.run(an_hour_later())
        statuses = made.statuses()
        assert [name for name, status in statuses.items() if not status["settled"]] == ["new"]
        late = (conditions.DUTY_OVERDUE, "not done within 1 hour of its end: Logs")
        assert {said(status) for name, status in statuses.items() if name != OLDEST} == {late}
        assert statuses["new"]["duties"] == ["Archive"]

        runner.run(made.work_after(LIMITS.archive_timeout))
    statuses = made.statuses()
    assert all(status["settled"] for status in statuses.values())
    assert said(statuses["new"])[1] == f"{late[1]}; not done within 24 hours of its end: Archive"
    by_name = sorted(one.metadata.name for one in made.operator.settled)
    assert by_name == sorted(statuses), "each is settled once"
