"""Messages of a workflow with `secureSecrets`, where the installation lets the operator read Secrets."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.masking import Mask, Withheld
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import LookForSecrets, Plan
from tests.support.snapshots import SnapshotMaker, a_pod, a_snapshot, a_step

PASSWORD: Final = "hunter2000"
USED: Final = {"db": frozenset({"password"})}
_FROM_SECRET: Final = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}


def a_run(*, secure: bool = True, masks: bool = True) -> SnapshotMaker:
    steps = a_step("train", env=[_FROM_SECRET], retries=1)
    made = a_snapshot(steps, config={"security": {"secureSecrets": secure}})
    return made.with_limits(mask_secrets=masks).recorded("train", "Running").at(6)


def failed(run: SnapshotMaker) -> SnapshotMaker:
    return run.with_pod(a_pod().exited(1, message=f"no access with {PASSWORD}"))


def messages(plan: Plan) -> dict[str, Any]:
    assert plan.status is not None
    return {name: step["message"] for name, step in plan.status["steps"].items()}


def test_secrets_are_read_before_a_message_is_recorded() -> None:
    plan = decide(failed(a_run()).build())
    assert plan.lookups == (LookForSecrets(USED),)
    assert plan.status is None


def test_their_values_are_hidden_in_it() -> None:
    plan = decide(failed(a_run()).with_fields(mask=Mask([PASSWORD.encode()])).build())
    assert messages(plan) == {"train": "step 'train' ended with exit code 1: no access with ***"}
    assert PASSWORD not in str(plan.status)


def test_a_message_is_withheld_if_they_cannot_be_read() -> None:
    plan = decide(failed(a_run()).with_fields(mask=Withheld()).build())
    assert messages(plan)["train"].startswith("step 'train' has a message that is withheld")
    assert PASSWORD not in str(plan.status)


@pytest.mark.parametrize(
    "run", [a_run(secure=False), a_run(masks=False)], ids=["not asked for", "not granted"]
)
def test_otherwise_nothing_is_read_and_nothing_hidden(run: SnapshotMaker) -> None:
    plan = decide(failed(run).build())
    assert plan.lookups == ()
    assert PASSWORD in messages(plan)["train"]


def test_without_a_new_message_nothing_is_read() -> None:
    assert decide(a_run().with_pod(a_pod().exited(0)).build()).lookups == ()


def test_a_recorded_message_is_not_recorded_again_when_the_secrets_are_to_be_read_again() -> None:
    """As of a run that waits for long: the values are read again after a while, the message stays."""
    waits = a_run().at(30).with_pod(a_pod().waiting("ImagePullBackOff", f"refused: {PASSWORD}"))
    mask = Mask([PASSWORD.encode()])
    first = decide(waits.recorded("train", "Pending").with_fields(mask=mask).build())
    assert first.status is not None
    recorded = {k: v for k, v in first.status["steps"]["train"].items() if v is not None}
    step = {"phase": "Pending", "attempt": 1, **recorded}
    later = waits.at(95).with_status(steps={"train": step}, message=step["message"]).with_fields(mask=None)
    again = decide(later.build())
    assert PASSWORD not in str(again.status)
