"""GPUs by the words of their model, on nodes as NVIDIA's and other vendors' device plugins show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from localcluster import FakeNode
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_environment
from tests.support.environments import Add
from tests.support.team import Team

AddNode = Callable[[FakeNode], None]

MODELS: Final = {POOL: "models"}
NODES: Final = (
    FakeNode("a100", labels=MODELS),
    FakeNode("l4", product="NVIDIA-L4", labels=MODELS),
    FakeNode("l40", product="NVIDIA-L40", labels=MODELS),
    FakeNode("t4", product="Tesla-T4-SHARED", labels=MODELS),
    FakeNode("one-strategy", product="NVIDIA-A100-SXM4-80GB-MIG-1g.5gb", labels=MODELS),
    FakeNode("mixed", 0, product="NVIDIA-A30", labels=MODELS, devices={"nvidia.com/mig-1g.6gb": "4"}),
)
WORDS: Final = {
    "A100": "a100",
    "GPU A100": "a100",
    "2x NVIDIA A100 80GB": "a100",
    "L4": "l4",
    "1x nvidia l40": "l40",
    "1x T4 SHARED": "t4",
    "1x A100 MIG 1g.5gb": "one-strategy",
    "2x A30 MIG 1g.6gb": "mixed",
}


def test_a_step_runs_where_the_model_is_that_its_words_name(
    shared: Team, add_environment: Add, add_node: AddNode
) -> None:
    for node in NODES:
        add_node(node)
    add_environment(an_environment("models", node_selector=MODELS))
    workflow = a_workflow("models", environments=["models"], order="Graph")
    for number, words in enumerate(WORDS):
        workflow = workflow.step(f"s{number}", resources={"gpu": words})
    (run,) = shared.runs(workflow)
    shared.until_phase(run, "Completed")

    pods = {pod["metadata"]["annotations"][names.ANNOTATION_STEP]: pod for pod in shared.pods(run)}
    found = {words: pods[f"s{number}"]["spec"]["nodeName"] for number, words in enumerate(WORDS)}
    assert found == WORDS
    (container,) = pods["s7"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/mig-1g.6gb": "2"}

    # What is shared by others is taken by who asks for that, and by nobody else.
    (run,) = shared.runs(a_workflow("whole", environments=["models"]).step("one", resources={"gpu": "T4"}))
    step = shared.until_step(run, "one", reason="NoSuchGPU")
    assert "the GPU it asks for, 'T4'; those there are: " in step["message"]
    shared.cancel(run)


def test_gpus_of_other_vendors_are_those_that_the_environment_declares(
    shared: Team, add_environment: Add, add_node: AddNode
) -> None:
    labels = {POOL: "amd", "accelerator": "mi300x"}
    add_node(FakeNode("amd-1", gpus=0, labels=labels, devices={"amd.com/gpu": "4"}))
    add_node(FakeNode("amd-old", gpus=0, labels={POOL: "amd"}, devices={"amd.com/gpu": "4"}))
    declared = {
        "model": "AMD Instinct MI300X",
        "resourceName": "amd.com/gpu",
        "nodeSelector": {"accelerator": "mi300x"},
    }
    add_environment(an_environment("amd", node_selector={POOL: "amd"}, gpu_models=[declared]))
    workflow = a_workflow("amd", environments=["amd"]).step("named", resources={"gpu": "2x MI300X"})
    (run,) = shared.runs(workflow.step("any", resources={"gpu": 1}))
    shared.until_phase(run, "Completed")

    named, anywhere = (shared.pods(run, step)[0]["spec"] for step in ("named", "any"))
    assert named["nodeName"] == "amd-1"
    assert named["containers"][0]["resources"]["limits"] == {"amd.com/gpu": "2"}
    assert anywhere["containers"][0]["resources"]["limits"] == {"amd.com/gpu": "1"}
