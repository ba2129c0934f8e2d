"""A compute profile that is edited while a run goes on, with deaths between any two writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import names
from tests.support.modelserver import Json
from tests.support.replica import the_servers_time
from tests.support.simulation import Act, Simulation, ended_rightly, graphs, happenings, thorough

WHERE = ("", "small")
edits = st.just(Act("edit profile"))


class Edited(Simulation):
    """A run of a workflow whose steps use a profile that is edited, deleted and made anew."""

    def __init__(self, steps: list[Json]) -> None:
        super().__init__([{**step, "computeProfile": "small"} for step in steps], replicas=1)
        self.edits = 0
        self._apply()
        self.replicas[0].start()

    @override
    async def happens(self, act: Act) -> None:
        if act.what != "edit profile":
            await super().happens(act)
            return
        self.edits += 1
        if self.edits % 3 == 0:
            self.server.delete(names.COMPUTE_PROFILES, WHERE)
        self._apply()
        self.replicas[0].hear_profiles()

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


@thorough
@given(graphs(), st.lists(happenings | edits, min_size=20, max_size=60))
def test_an_edited_profile_changes_nothing_of_a_run_that_has_begun(
    steps: list[Json], acts: list[Act]
) -> None:
    made = Edited(steps)

    async def story() -> None:
        for act in acts:
            await made.happens(act)
        await made.be_fair()

    with the_servers_time(made.server) as runner:
        runner.run(story())

    ended_rightly(made, steps)
    jobs = [body for kind, body in made.server.log[names.JOBS.plural] if kind == "ADDED"]
    assert len({cpu_of(job) for job in jobs}) == 1, "every Job is of the profile with which the run began"
