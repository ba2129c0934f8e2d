"""What would become of a run: which Environments are left, what it would wait for, what refusals mean."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typing_extensions import override

from nightcrawler_api.dryruns.nodes import KEEP_SECONDS, ListedNodes
from nightcrawler_api.dryruns.verdicts import (
    Question,
    Verdict,
    look_at_place,
    look_at_refusal,
    look_at_volume,
    suitable_places,
)
from nightcrawler_crds import errors, names
from nightcrawler_crds.allocation import Queue, Subject
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore
from tests.support.views import at, environment

NOW = at("16:00:00")
STEP: dict[str, Any] = {"name": "a", "image": "busybox:1"}
NODE = NodeRoom("n1", {"pool": "x"}, {"cpu": 4.0, "memory": 8.0 * 2**30, "pods": 10.0})
NODES = Nodes(gpu_products=frozenset({"NVIDIA-A100-SXM4-80GB"}), ready=frozenset({"n1"}), rooms=(NODE,))


def question(
    *places: EnvironmentView, wanted: str | None = None, nodes: Nodes | None = NODES, **spec: Any
) -> Question:
    """A workflow that would be run; of one step unless it says otherwise."""
    parsed = WorkflowSpec.model_validate({"steps": [STEP], **spec})
    return Question(Revision("r", parsed), wanted, places, nodes, StepDefaults(), NOW)


FIXED = environment("fixed", nodes="Fixed", nodeSelector={"pool": "x"})
ROOMY = environment("roomy", nodes="Fixed", default=True)
CLOSED = environment("closed", state="Cordoned")
OPEN = environment("open", default=True)
BIG = [{**STEP, "resources": {"cpu": 8}}]
PAIR = [{**STEP, "name": name, "resources": {"cpu": 3}} for name in ("a", "b")]
APART = [
    {**STEP, "name": name, "podTemplate": {"spec": {"nodeSelector": {"zone": name}}}} for name in ("a", "b")
]
LATER = {**STEP, "name": "b", "resources": {"gpu": "H100"}}
ON_ONE_NODE = {"storage": {"persistentVolume": "1 GB"}}
ANYWHERE = environment("anywhere", accessMode="ReadWriteMany")


@pytest.mark.parametrize(
    ("asked", "left", "refused"),
    [
        (question(), [], None),
        (question(OPEN, CLOSED), ["open"], None),
        (question(OPEN, CLOSED, environments=["closed", "open"]), ["open"], None),
        (question(CLOSED, wanted="closed"), ["closed"], None),
        (question(OPEN, wanted="nowhere"), [], "UnknownEnvironment"),
        (question(OPEN, environments=[]), [], "NoEnvironment"),
        (question(FIXED, wanted="fixed"), ["fixed"], None),
        (question(FIXED, wanted="fixed", steps=BIG), [], "NoNodeLargeEnough"),
        (question(FIXED, wanted="fixed", steps=BIG, nodes=None), ["fixed"], None),
        (question(FIXED, OPEN, steps=BIG, environmentStrategy="time"), ["open"], None),
        (question(FIXED, OPEN, steps=BIG, environments=["fixed", "open"]), [], "NoNodeLargeEnough"),
        (question(FIXED, steps=BIG, environmentStrategy="cost"), [], "NoNodeLargeEnough"),
        # Steps that share a volume of one node are on it together.
        (question(FIXED, steps=PAIR, order="Graph", wanted="fixed"), ["fixed"], None),
        (question(FIXED, steps=PAIR, wanted="fixed", config=ON_ONE_NODE), ["fixed"], None),
        (question(ROOMY, steps=PAIR, order="Graph", config=ON_ONE_NODE), [], "NoNodeLargeEnough"),
        (question(OPEN, steps=PAIR, order="Graph", config=ON_ONE_NODE), ["open"], None),
        (question(OPEN, steps=APART), ["open"], None),
        (question(OPEN, steps=APART, config=ON_ONE_NODE), [], "NoCommonNode"),
        (question(ANYWHERE, steps=APART, config=ON_ONE_NODE, environments=["anywhere"]), ["anywhere"], None),
    ],
)
def test_the_environments_that_are_left_are_those_the_operator_would_take(
    asked: Question, left: list[str], refused: str | None
) -> None:
    verdict = Verdict()
    assert [one.name for one in suitable_places(asked, verdict)] == left
    assert (verdict.refused or (None,))[0] == refused


@pytest.mark.parametrize(
    ("asked", "reason", "says"),
    [
        (question(OPEN), None, ""),
        (question(CLOSED, wanted="closed"), "Cordoned", "it would wait for closed to be opened"),
        (question(OPEN, steps=[{**STEP, "resources": {"gpu": "A100"}}]), None, ""),
        (question(OPEN, steps=[{**STEP, "resources": {"gpu": "H100"}}]), "NoSuchGPU", "there are: NVIDIA"),
        (question(steps=[{**STEP, "resources": {"gpu": "H100"}}]), "NoSuchGPU", "that the step 'a' asks"),
        # Only steps that would start at once.
        (question(steps=[STEP, LATER]), None, ""),
        # Their volume is on one node, which has to have the GPU of the later step.
        (question(steps=[STEP, LATER], config=ON_ONE_NODE), "NoSuchGPU", "that the step 'b' asks"),
        (question(ANYWHERE, wanted="anywhere", steps=[STEP, LATER], config=ON_ONE_NODE), None, ""),
    ],
)  # fmt: skip
def test_it_would_wait_for_a_closed_environment_and_for_gpus_that_no_node_has(
    asked: Question, reason: str | None, says: str
) -> None:
    verdict = Verdict()
    places = suitable_places(asked, verdict)
    look_at_place(places[0] if places else None, None, asked, verdict)
    found, message = verdict.waits or (None, "")
    assert found == reason
    assert says in message
    assert verdict.not_checked == []


def test_a_run_that_is_not_next_would_wait_for_its_turn_once_its_environment_is_open() -> None:
    queue = Queue(Subject("Workflow", "train", "default"), limit=1, running=1, ahead=2)
    waits = []
    for place in (OPEN, CLOSED):
        asked, verdict = question(place, wanted=place.metadata.name), Verdict()
        look_at_place(suitable_places(asked, verdict)[0], queue, asked, verdict)
        waits.append(verdict.waits)
    why = "workflow 'train' has 1 of at most 1 run under way, and 2 wait before it"
    assert waits[0] == ("Queued", f"it would wait for its turn: {why}")
    assert waits[1] is not None
    assert waits[1][0] == "Cordoned"


def test_for_a_volume_without_a_class_there_is_no_provisioner_and_any_other_is_not_guessed() -> None:
    without, named = Verdict(), Verdict()
    look_at_volume(None, without)
    look_at_volume("fast", named)
    reason, message = without.waits or ("", "")
    assert reason == "WaitingForVolume"
    assert message == (
        "it would wait for the volume of its run, for which there is no provisioner: the cluster has no "
        "default StorageClass, and neither the Environment nor the installation names one; only a "
        "PersistentVolume without a class would do"
    )
    assert (named.waits, without.not_checked) == (None, [])
    assert named.not_checked == [
        "whether the StorageClass 'fast' has a volume for it: that shows when it runs"
    ]


def test_nodes_that_may_not_be_listed_are_not_guessed() -> None:
    asked, verdict = question(nodes=None, steps=[{**STEP, "resources": {"gpu": "H100"}}]), Verdict()
    look_at_place(None, None, asked, verdict)
    assert verdict.waits is None
    assert verdict.not_checked == ["whether nodes have what its steps ask for: the facade may not list nodes"]


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (errors.Forbidden('pods "x" is forbidden: violates PodSecurity "restricted"'), "refused", "violates"),
        (errors.Invalid("Job.batch is invalid"), "refused", "would fail: its Pod is refused"),
        (
            errors.Forbidden('pods "x" is forbidden: exceeded quota: q, requested: pods=1'),
            "waits",
            "exceeded",
        ),
        (
            errors.Forbidden('pods "x" is forbidden: no PriorityClass with name high was found'),
            "waits",
            "then fail if nothing changes",
        ),
        (
            errors.Forbidden('pods is forbidden: User "api" cannot create resource "pods" in API group ""'),
            "not_checked",
            "the facade may not create any",
        ),
        (
            errors.Invalid('admission webhook "w" does not support dry run'),
            "not_checked",
            "does not support dry run",
        ),
        (errors.TooManyRequests("try again"), "waits", "try again"),
    ],
)
def test_a_refusal_means_what_it_means_to_the_operator(error: errors.ApiError, kind: str, says: str) -> None:
    verdict = Verdict()
    look_at_refusal("the step 'a'", "Pod", error, verdict)
    said = {
        "refused": (verdict.refused or ("", ""))[1],
        "waits": (verdict.waits or ("", ""))[1],
        "not_checked": " ".join(verdict.not_checked),
    }
    assert [name for name, text in said.items() if text] == [kind]
    assert says in said[kind]


class CountingStore(ModelStore):
    """Counts lists, of which some fail."""

    lists = 0
    failure: errors.ApiError | None = None

    @override
    async def list_with_version(self, *given: Any, **named: Any) -> Any:
        self.lists += 1
        if self.failure is not None:
            raise self.failure
        return await super().list_with_version(*given, **named)


async def test_nodes_are_listed_once_in_a_few_seconds_whoever_asks() -> None:
    server = ModelServer()
    server.create(names.NODES, {"metadata": {"name": "n1"}})
    store, clock = CountingStore(server), [100.0]
    nodes = ListedNodes(store, lambda: clock[0])

    async def there() -> list[str]:
        found = await nodes.current()
        assert found is not None
        return [room.name for room in found.rooms]

    assert list(await asyncio.gather(there(), there(), there())) == [["n1"]] * 3
    server.create(names.NODES, {"metadata": {"name": "n2"}})
    clock[0] += KEEP_SECONDS - 0.1
    assert (await there(), store.lists) == (["n1"], 1)
    clock[0] += 0.1
    assert (await there(), store.lists) == (["n1", "n2"], 2)

    clock[0] += KEEP_SECONDS
    store.failure = errors.Unavailable("away")
    for _ in range(2):
        with pytest.raises(errors.Unavailable):
            await nodes.current()
    assert store.lists == 4, "a failure is not kept"
    store.failure = errors.Forbidden("no")
    assert await nodes.current() is None
