"""Environments that are cordoned and opened while a strategy places a run, with deaths between two writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from tests.support.modelserver import Json
from tests.support.simulation import (
    Action,
    Simulation,
    any_action,
    assert_right_end,
    carry_out,
    graphs,
    many_examples,
)

PLACES = ("east", "west", "north")
cordons = st.builds(Action, st.sampled_from(["cordon", "open", "open"]), which=st.integers(0, 2))


class Placed(Simulation):
    """A run that a strategy places in one of three Environments, whose state changes all the time."""

    def __init__(self, steps: list[Json], strategy: str) -> None:
        super().__init__(steps, replicas=1)
        for name in PLACES:
            body = {"kind": "Environment", "metadata": {"name": name}, "spec": {"state": "Open"}}
            self.server.create(names.ENVIRONMENTS, body)
        wanted = {"environmentStrategy": strategy, "environments": list(PLACES)}
        self.server.patch(names.WORKFLOWS, ("default", "wf"), {"spec": wanted})
        self.replicas[0].start()
        self.server.watchers.append(self._not_into_a_cordoned_one)

    def _not_into_a_cordoned_one(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        if resource == names.JOBS and old is None and new is not None:
            place = new["metadata"]["annotations"][names.ANNOTATION_ENVIRONMENT]
            state = self.server.get(names.ENVIRONMENTS, ("", place))["spec"]["state"]
            assert state == "Open", f"a Job was created in {place}, which is cordoned"

    @override
    async def apply(self, action: Action) -> None:
        if action.what not in ("cordon", "open"):
            await super().apply(action)
            return
        state = "Cordoned" if action.what == "cordon" else "Open"
        self.set_state(PLACES[action.which % len(PLACES)], state)

    def set_state(self, name: str, state: str) -> None:
        self.server.patch(names.ENVIRONMENTS, ("", name), {"spec": {"state": state}})
        self.replicas[0].observe_environments()


@many_examples
@given(
    graphs(),
    st.lists(any_action | cordons, min_size=20, max_size=60),
    st.sampled_from(["start", "time", "cost"]),
)
def test_all_steps_of_a_run_are_in_one_environment_and_none_begins_while_that_is_cordoned(
    steps: list[Json], actions: list[Action], strategy: str
) -> None:
    made = Placed(steps, strategy)
    carry_out(made, [*actions, *(Action("open", which=which) for which in range(len(PLACES)))])
    jobs = [body for kind, body in made.server.log[names.JOBS.plural] if kind == "ADDED"]
    places = {job["metadata"]["annotations"][names.ANNOTATION_ENVIRONMENT] for job in jobs}
    assert places == {made.status["environment"]}
    if not any(step.get("preemptions") for step in made.status["steps"].values()):
        assert_right_end(made, steps)
