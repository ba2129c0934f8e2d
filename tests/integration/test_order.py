"""In which order steps run, by what the API server saw of their Pods."""

from __future__ import annotations

from nightcrawler_crds import names
from tests.support.builders import a_chain, a_workflow
from tests.support.history import History
from tests.support.team import Team


def test_steps_run_one_after_the_other_as_they_are_written(shared: Team) -> None:
    history = History(shared)
    (run,) = shared.runs(a_chain("chain", 5))

    status = shared.until_phase(run, "Completed")

    assert status["progress"] == "5/5"
    assert [status["steps"][f"s{n}"]["phase"] for n in range(1, 6)] == ["Completed"] * 5
    for before, after in ((f"s{n}", f"s{n + 1}") for n in range(1, 5)):
        assert history.pod_ended(before) < history.pod_made(after)


def test_a_graph_fans_out_at_once_and_waits_for_all_where_it_fans_in(shared: Team) -> None:
    history = History(shared)
    middle = ["left", "middle", "right"]
    graph = a_workflow("diamond").step("first")
    for name in middle:
        graph = graph.step(name, depends_on=["first"], lasts=600)
    graph = graph.step("last", depends_on=middle)
    (run,) = shared.runs(graph)
    for pod in [shared.until_pod_runs(run, name) for name in middle]:
        shared.finish(pod)

    shared.until_phase(run, "Completed")

    begun = [history.pod_made(name) for name in middle]
    ended = [history.pod_ended(name) for name in middle]
    assert history.pod_ended("first") < min(begun)
    assert max(begun) < min(ended), "the three did not run side by side"
    assert max(ended) < history.pod_made("last")


def test_in_a_graph_steps_without_dependencies_start_at_once(shared: Team) -> None:
    history = History(shared)
    graph = a_workflow("parallel", order="Graph").step("one", lasts=600).step("two", lasts=600)
    (run,) = shared.runs(graph)
    for pod in [shared.until_pod_runs(run, name) for name in ("one", "two")]:
        shared.finish(pod)

    shared.until_phase(run, "Completed")

    assert max(history.pod_made(s) for s in ("one", "two")) < min(
        history.pod_ended(s) for s in ("one", "two")
    )


def test_two_workflows_run_side_by_side(shared: Team) -> None:
    (first,) = shared.runs(a_chain("first", 1, lasts=600))
    (second,) = shared.runs(a_chain("second", 1, lasts=600))

    both = [shared.until_pod_runs(run) for run in (first, second)]

    for pod in both:
        shared.finish(pod)
    for run in (first, second):
        assert shared.until_phase(run, "Completed")["steps"]["s1"]["attempt"] == 1


def test_similar_step_names_get_jobs_of_their_own(shared: Team) -> None:
    alike = ["A b", "a-b", "a b!", "a_b", "ä b", "x" * 100, "x" * 99 + "y", "-", "!", "模型训练"]
    workflow = a_workflow("collide", order="Graph")
    for name in alike:
        workflow = workflow.step(name)
    (run,) = shared.runs(workflow)

    status = shared.until_phase(run, "Completed")

    assert status["steps"].keys() == set(alike)
    jobs = shared.jobs(run)
    assert sorted(job["metadata"]["annotations"][names.ANNOTATION_STEP] for job in jobs) == sorted(alike)
    assert all(len(job["metadata"]["name"]) <= 52 for job in jobs)


def test_a_graph_of_two_hundred_steps_runs_to_its_end(shared: Team) -> None:
    layers = [[f"step {layer}.{number}" for number in range(20)] for layer in range(10)]
    graph = a_workflow("large")
    for before, layer in zip([[], *layers[:-1]], layers, strict=True):
        for position, name in enumerate(layer):
            graph = graph.step(name, depends_on=before[position : position + 3])
    (run,) = shared.runs(graph)

    status = shared.until_phase(run, "Completed", within=120)

    assert status["progress"] == "200/200"
    assert len(shared.jobs(run)) == 200
    assert {step["attempt"] for step in status["steps"].values()} == {1}
