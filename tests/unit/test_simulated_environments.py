"""The status of Environments while nodes, Pods and runs come and go, and operators die between two writes."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from nightcrawler_crds import names
from tests.support.environmentsimulation import Act, EnvironmentStory, tell
from tests.support.expectedenvironments import shown
from tests.support.modelstore import Death
from tests.support.simulation import many_examples

which = st.integers(0, 5)
replica = st.integers(0, 1)
deaths = st.none() | st.builds(Death, st.integers(0, 3), st.booleans())
of_nodes = st.sampled_from(["node", "no node", "drain", "undrain", "lost", "back"])
of_environments = st.sampled_from(
    ["environment", "environment", "no environment", "cordon", "open", "maintain"]
)
of_pods = st.sampled_from(["pod", "pod", "pod", "end pod", "no pod"])
of_runs = st.sampled_from(["run", "run", "place", "place", "start", "end", "no run"])
acts = st.one_of(
    st.builds(Act, of_nodes, which=which),
    st.builds(Act, of_environments, which=which, many=st.integers(1, 6)),
    st.builds(Act, of_pods, which=which, many=st.integers(0, 9)),
    st.builds(Act, of_runs, which=which, many=which),
    st.builds(Act, st.just("time"), many=st.sampled_from([1, 1, 3, 9, 10, 60])),
    st.builds(Act, st.just("rest")),
    st.builds(Act, st.just("observe"), many=st.integers(1, 3), replica=replica),
    st.builds(Act, st.sampled_from(["work", "catch up", "catch up"]), replica=replica, death=deaths),
)


@many_examples
@given(st.lists(acts, min_size=10, max_size=60), st.integers(1, 2))
def test_the_status_becomes_what_there_is_and_is_written_at_most_once_in_ten_seconds(
    story_of: list[Act], replicas: int
) -> None:
    story = EnvironmentStory(replicas)
    tell(story, story_of)
    event(f"deaths: {min(3, sum(one.deaths for one in story.replicas))}")
    event(f"environments: {len(story.server.of(names.ENVIRONMENTS))}")


def test_pods_are_followed_only_while_there_is_an_environment() -> None:
    def followed() -> tuple[bool, int]:
        room = story.replicas[0].cluster.room
        return room.is_followed, len(room.informer.cache)

    story = EnvironmentStory(1)
    tell(story, [Act("pod", many=2), Act("no environment", 0), Act("catch up")])
    assert followed() == (True, 1)
    tell(story, [Act("no environment", 1)])
    assert followed() == (False, 0)
    tell(story, [Act("pod", 2, many=3), Act("environment", 0)])
    assert followed() == (True, 2)
    assert shown(story.server, "east")["cpu"] == (16_000, 13_500)


def test_what_others_put_on_the_nodes_is_in_the_next_status_and_not_written_again_and_again() -> None:
    story = EnvironmentStory(1)
    tell(story, [])
    version = story.server.get(names.ENVIRONMENTS, ("", "east"))["metadata"]["resourceVersion"]
    tell(story, [Act("time", many=3600), Act("catch up")])
    assert story.server.get(names.ENVIRONMENTS, ("", "east"))["metadata"]["resourceVersion"] == version
    tell(story, [Act("pod", many=1)] * 3)
    assert shown(story.server, "east")["gpus"] == (4, 2)
    assert len(story.replicas[0].store.written["east"]) == 2


def test_a_maintenance_is_shown_when_it_begins_and_when_it_ends() -> None:
    story = EnvironmentStory(1)
    reasons = []
    for passed in (0, 70, 150):
        tell(story, [Act("maintain", many=20)] if not passed else [Act("time", many=passed), Act("work")])
        reasons.append(shown(story.server, "east")["reason"])
    assert reasons == ["NodesReady", "UnderMaintenance", "NodesReady"]
