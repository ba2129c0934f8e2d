"""A compute profile that is edited while a run goes on, with deaths between any two writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import names
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

WHERE = ("", "small")
edits = st.just(Action("edit profile"))


class Edited(Simulation):
    """A run of a workflow whose steps use a profile that is edited, deleted and recreated."""

    def __init__(self, steps: list[Json]) -> None:
        super().__init__([{**step, "computeProfile": "small"} for step in steps], replicas=1)
        self.edits = 0
        self._apply()
        self.replicas[0].start()

    @override
    async def apply(self, action: Action) -> None:
        if action.what != "edit profile":
            await super().apply(action)
            return
        self.edits += 1
        if self.edits % 3 == 0:
            self.server.delete(names.COMPUTE_PROFILES, WHERE)
        self._apply()
        self.replicas[0].observe_profiles()

    def _apply(self) -> None:
        spec = {"resources": {"cpu": self.edits + 1}}
        if WHERE in self.server.of(names.COMPUTE_PROFILES):
            self.server.patch(names.COMPUTE_PROFILES, WHERE, {"spec": spec})
        else:
            body = {"kind": "ComputeProfile", "metadata": {"name": WHERE[1]}, "spec": spec}
            self.server.create(names.COMPUTE_PROFILES, body)


def cpu_of(job: Json) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return str(container["resources"]["requests"]["cpu"])


@many_examples
@given(graphs(), st.lists(any_action | edits, min_size=20, max_size=60))
def test_an_edited_profile_changes_nothing_of_a_run_that_has_begun(
    steps: list[Json], actions: list[Action]
) -> None:
    made = Edited(steps)
    carry_out(made, actions)
    assert_right_end(made, steps)
    jobs = [body for kind, body in made.server.log[names.JOBS.plural] if kind == "ADDED"]
    assert len({cpu_of(job) for job in jobs}) == 1, "every Job is of the profile with which the run began"
