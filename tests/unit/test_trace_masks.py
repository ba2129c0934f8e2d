"""Events about Pods in traces of a workflow with `secureSecrets`: without the values of its Secrets."""

from __future__ import annotations

from typing import Any, Final

import pytest
from typing_extensions import override

from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.views import PodEventView
from nightcrawler_crds.masking import Mask
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.effects.traces.effect import PodEventsEffect
from nightcrawler_operator.keys import PodEventsKey
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore
from tests.support.snapshots import EXECUTION, EXECUTION_UID, a_pod, a_snapshot, a_spec, a_step, an_event

PASSWORD: Final = "hunter2000"
SAID: Final = f'exec: "{PASSWORD}": executable file not found in $PATH'
SECURE: Final = {"security": {"secureSecrets": True}}


class EventStore(ModelStore):
    """The API server with one Event."""

    @override
    async def list_all(self, resource: Any, namespace: str, kind: Any, **_: Any) -> list[Any]:
        return [an_event("Failed", SAID)]


async def collected(*, config: Any, masked: bool, read: bool, known: bool = True) -> PodEventView:
    """The Event as it is recorded; `read` says whether the Secrets were read, `known` the revision."""
    store = EventStore(ModelServer())
    cluster = ClusterState(store, "", lambda _: None)
    run = a_snapshot("train", config=config).with_status(revision="rev", traceLevel="debug")
    cluster.executions.upsert(run.build().execution)
    cluster.pods.cache.upsert(a_pod("train").view)
    if known:
        cluster.revisions.cache_recorded("default", Revision("rev", a_spec(a_step("train"), config=config)))
    if read:
        cluster.results_of(EXECUTION_UID).note_secrets(Mask([PASSWORD.encode()]), utcnow())
    effect = PodEventsEffect(store, cluster, lambda _: None, masked=masked)
    await effect.reconcile(PodEventsKey("default", EXECUTION, EXECUTION_UID, "train", 1))
    (event,) = cluster.traces.events(EXECUTION_UID)["train", 1]
    return event


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": None, "masked": False, "read": False}, SAID),
        ({"config": SECURE, "masked": False, "read": False}, SAID),
        ({"config": None, "masked": True, "read": False}, SAID),
        ({"config": SECURE, "masked": True, "read": True}, SAID.replace(PASSWORD, "***")),
        ({"config": SECURE, "masked": True, "read": False}, None),
        ({"config": None, "masked": True, "read": False, "known": False}, None),
    ],
    ids=["as it is", "not masked here", "not secure", "masked", "Secrets not read", "revision not known"],
)
async def test_an_event_is_recorded_without_what_the_installation_masks(
    given: dict[str, Any], message: str | None
) -> None:
    event = await collected(**given)
    assert (event.reason, event.message) == ("Failed", message)
