"""The volume of a run, with deaths between any two writes: one claim, before its Jobs, gone with them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import has_ended
from nightcrawler_crds.v1alpha1 import conditions
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
    interventions,
    many_examples,
    with_refusals,
    with_statistics,
)

SIZE = "500 GB"
claim_deletions = st.builds(Action, st.just("delete claim"))


class Stored(Simulation):
    """A run whose steps share a volume."""

    def __init__(self, steps: list[Json], replicas: int = 1, *, retain: bool = False) -> None:
        storage = {"persistentVolume": SIZE, **({"retain": True} if retain else {})}
        super().__init__(steps, replicas, spec={"config": {"storage": storage}})
        self.made: list[str] = []
        self.disturbed = False
        self.server.watchers.append(self._watch_claims)

    def _watch_claims(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        if resource == names.VOLUME_CLAIMS and old is None and new is not None:
            self.made.append(new["metadata"]["name"])
            assert not self.server.log.get(names.JOBS.plural), "a claim is created before the first Job"
        elif resource == names.VOLUME_CLAIMS and new is None and self.server.by_the_operator:
            assert has_ended(self.status.get("phase")), "a run that is live keeps its volume"
        elif resource == names.JOBS and old is None and new is not None and not self.disturbed:
            volumes = new["spec"]["template"]["spec"]["volumes"]
            (name,) = (one["persistentVolumeClaim"]["claimName"] for one in volumes)
            ended = has_ended(self.status.get("phase"))  # a stale replica may still try
            assert ended or (RUN[0], name) in self.server.of(names.VOLUME_CLAIMS), (
                "a Job comes after its claim"
            )

    @override
    async def apply(self, action: Action) -> None:
        if action.what != "delete claim":
            await super().apply(action)
            return
        for where in list(self.server.of(names.VOLUME_CLAIMS)):
            self.disturbed = True
            self.server.delete(names.VOLUME_CLAIMS, where)

    def clean_up(self) -> None:
        """Run without faults until nothing is left."""
        with the_servers_time(self.server) as runner:
            runner.run(self.run_without_faults(until_clean=True))


# A stale second leader makes a Job again that somebody has deleted: its name is free.
one_leader = st.tuples(st.just(1), st.lists(with_refusals | interventions, min_size=20, max_size=60))
two_leaders = st.tuples(st.just(2), st.lists(with_refusals, min_size=20, max_size=60))


@many_examples
@given(graphs(), one_leader | two_leaders, st.booleans())
def test_a_run_has_one_claim_before_its_jobs_which_goes_with_them_unless_it_is_to_be_kept(
    steps: list[Json], story: tuple[int, list[Action]], retain: bool
) -> None:
    replicas, actions = story
    made = with_statistics_of(Stored(steps, replicas, retain=retain), actions)
    assert_right_end(made, steps, deletions=True)
    assert len(made.made) == 1
    made.clean_up()
    left = list(made.server.of(names.VOLUME_CLAIMS).values())
    assert len(left) == retain
    assert not [claim for claim in left if claim["metadata"].get("ownerReferences")]


@many_examples
@given(graphs(), st.lists(any_action, max_size=30), st.integers(0, 30))
def test_a_run_that_is_cancelled_leaves_no_claim(steps: list[Json], actions: list[Action], when: int) -> None:
    made = Stored(steps)
    carry_out(made, [*actions[:when], Action("cancel"), *actions[when:]])
    made.clean_up()
    assert made.server.of(names.VOLUME_CLAIMS) == {}


@many_examples
@given(graphs(), st.lists(any_action | claim_deletions, min_size=20, max_size=60))
def test_a_volume_that_is_lost_is_never_replaced_by_an_empty_one(
    steps: list[Json], actions: list[Action]
) -> None:
    made = Stored(steps)
    carry_out(made, actions)
    reasons = {step.get("reason") for step in made.status["steps"].values()}
    if conditions.STEP_VOLUME_LOST in reasons:
        assert made.disturbed
        assert made.status["phase"] == "Failed"
    elif not made.disturbed:
        assert_right_end(made, steps)


def with_statistics_of(made: Stored, actions: list[Action]) -> Stored:
    carry_out(made, actions)
    with_statistics(made)
    return made
