"""Runs whose record cannot be read for a while, because something else has written to it.

What the operator knew of it is then not what is recorded: it must neither go on from there, nor take
the run for gone. When the record is put right, the run goes on as if nothing had been.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import event, given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.phases import TERMINAL_PHASES
from tests.support.modelserver import Json
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    RUN,
    Action,
    Simulation,
    any_action,
    assert_right_end,
    graphs,
    many_examples,
)

SPOILT: Final[Json] = {"done": 1, "of": 2}
STEPS: Final[list[Json]] = [
    {"name": "a", "image": "b:1", "retries": 1},
    {"name": "b", "image": "b:1", "retries": 1, "dependsOn": ["a"]},
]
ALL_WELL: Final = Action("life", which=99)  # no Pod has that number, so none fails
spoiling = st.builds(Action, st.sampled_from(["spoil", "spoil", "mend"]))


class Spoilt(Simulation):
    """A run whose status is made unreadable."""

    times = 0
    progress: Any = None

    @property
    def is_spoilt(self) -> bool:
        return self.status.get("progress") == SPOILT

    @override
    async def apply(self, action: Action) -> None:
        if action.what == "spoil":
            self.spoil()
        elif action.what == "mend":
            self.mend()
        else:
            await super().apply(action)

    def spoil(self) -> None:
        if not self.is_spoilt and self.status.get("phase") not in TERMINAL_PHASES:
            self.progress = self.status.get("progress")
            self.times += 1
            self._write(SPOILT)

    def mend(self) -> None:
        if self.is_spoilt:
            # Null first: a merge patch would take an object for more of the same.
            self._write(None)
            self._write(self.progress)

    def _write(self, progress: Any) -> None:
        self.server.patch(names.EXECUTIONS, RUN, {"status": {"progress": progress}}, "status")


@many_examples
@given(graphs(), st.lists(any_action | spoiling, min_size=20, max_size=80), st.integers(1, 2))
def test_a_status_that_is_unreadable_for_a_while_changes_nothing(
    steps: list[Json], actions: list[Action], replicas: int
) -> None:
    made = Spoilt(steps, replicas)

    async def story() -> None:
        for action in actions:
            await made.apply(action)
        made.mend()
        await made.run_without_faults()
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    event(f"spoilt {min(made.times, 3)} times")
    assert_right_end(made, steps)


def test_nothing_is_created_or_deleted_while_a_status_is_unreadable() -> None:
    made = Spoilt(STEPS, 1)
    [one] = made.replicas

    async def story() -> None:
        await made.apply(Action("catch up"))
        await made.apply(ALL_WELL)
        await made.apply(Action("catch up"))
        made.spoil()
        children = {resource: dict(made.server.of(resource)) for resource in (names.JOBS, names.PODS)}
        assert children[names.JOBS]
        # Its step ends meanwhile, and the operator restarts: it has never seen the status.
        await made.apply(ALL_WELL)
        await made.apply(ALL_WELL)
        for _ in range(3):
            await made.apply(Action("catch up"))
            assert made.is_spoilt
            assert set(made.server.of(names.JOBS)) == set(children[names.JOBS])
            assert set(made.server.of(names.PODS)) == set(children[names.PODS])
            one.start()
            await made.apply(Action("time", many=3600))
        made.mend()
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert made.status["phase"] == "Completed"
    assert made.invariants.jobs_made == {("a", 1): 1, ("b", 1): 1}
