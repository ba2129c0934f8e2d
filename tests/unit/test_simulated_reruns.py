"""A run of an earlier revision of its workflow, with deaths between any two writes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_operator.builders.revision import manifest, revision_of
from tests.support.modelserver import Json
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    RUN,
    Action,
    Simulation,
    any_action,
    assert_right_end,
    carry_out,
    graphs,
    many_examples,
)

WORKFLOW = (RUN[0], "wf")
edits = st.just(Action("edit workflow"))


class Rerun(Simulation):
    """A run of the steps given, whose workflow has been edited since and has other images now.

    Its revision goes if `lost`, before the operator looks.
    """

    def __init__(self, steps: list[Json], *, lost: bool = False) -> None:
        self._edits = 0
        self._lost = lost
        super().__init__([{**step, "image": "old:1"} for step in steps], replicas=1)

    @override
    def run(self) -> Json:
        workflow = msgspec.convert(self.server.get(names.WORKFLOWS, WORKFLOW), WorkflowView, strict=False)
        old = revision_of(workflow)
        if not self._lost:
            self.server.create(names.REVISIONS, manifest(workflow, old))
        self._edit()
        return {**super().run(), "revision": old.name, "trigger": {"type": "Rerun"}}

    @override
    async def apply(self, action: Action) -> None:
        if action.what == "edit workflow":
            self._edit()
        else:
            await super().apply(action)

    def _edit(self) -> None:
        self._edits += 1
        steps = self.server.get(names.WORKFLOWS, WORKFLOW)["spec"]["steps"]
        new = [{**step, "image": f"new:{self._edits}"} for step in steps]
        self.server.patch(names.WORKFLOWS, WORKFLOW, {"spec": {"steps": new}})


def images(made: Simulation) -> set[str]:
    jobs = [body for kind, body in made.server.log.get(names.JOBS.plural, ()) if kind == "ADDED"]
    return {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in jobs}


@many_examples
@given(graphs(), st.lists(any_action | edits, min_size=20, max_size=60))
def test_a_run_of_an_earlier_revision_has_its_content_whatever_happens(
    steps: list[Json], actions: list[Action]
) -> None:
    made = Rerun(steps)
    carry_out(made, actions)
    assert_right_end(made, steps)
    assert images(made) <= {"old:1"}


def test_a_run_of_a_revision_that_is_gone_fails_and_says_what_to_do() -> None:
    made = Rerun([{"name": "a", "image": "b:1"}], lost=True)
    with the_servers_time(made.server) as runner:
        runner.run(made.run_without_faults())
    assert (made.status["phase"], images(made)) == ("Failed", set())
    assert "leave spec.revision out" in made.status["message"]
