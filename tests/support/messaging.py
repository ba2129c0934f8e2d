"""Receivers of messages in memory, and the part of a simulated replica that sends to them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from nightcrawler_crds.kube.noticeviews import NoticeView, SecretValues
from nightcrawler_operator.decisions.notifications.facts import Facts, of_run
from nightcrawler_operator.decisions.notifications.outbox import NoticeName
from nightcrawler_operator.decisions.notifications.targets import Targets, targets_of, usable
from nightcrawler_operator.effects.notifications.delivery import DeliveryError, Message
from nightcrawler_operator.effects.traces.exporter import ExportError
from tests.support.collector import Received, read
from tests.support.views import at, execution, workflow

SIGNING_SECRET: Final = "whsec_" + base64.b64encode(b"only the receiver knows this one").decode()
TOKEN: Final = "T0K3N-that-nobody-may-see"
"""Part of every secret value here, to be searched for."""
VALUES: Final = {
    "webhook-url": f"https://receiver.example/{TOKEN}",
    "webhook-secret": SIGNING_SECRET,
    "slack-webhook-url": f"https://slack.example/services/{TOKEN}",
    "smtp-url": f"smtps://bot:p%40ss-{TOKEN}@mail.example:465",
    "email-from": "nightcrawler@example.com",
    "email-to": "ops@example.com",
}


def secret(**values: str) -> SecretValues:
    """A Secret; keys are written with underscores."""
    return SecretValues({key.replace("_", "-"): value.encode() for key, value in values.items()})


def all_channels() -> SecretValues:
    """A Secret with a target for every channel."""
    return SecretValues({key: value.encode() for key, value in VALUES.items()})


NOW = at("14:50:00")
URL = "https://workflows.example"
FAILED: dict[str, Any] = {
    "phase": "Failed",
    "message": "step 'train' failed: exit code 3",
    "startTime": "2025-07-10T14:45:00Z",
    "completionTime": "2025-07-10T14:47:05Z",
    "progress": "1/2",
    "environment": "production",
    "steps": {
        "prepare": {"phase": "Completed", "attempt": 1},
        "train": {
            "phase": "Failed",
            "attempt": 2,
            "startTime": "2025-07-10T14:46:00Z",
            "completionTime": "2025-07-10T14:47:05Z",
            "message": "step 'train' failed: exit code 3",
        },
    },
}


def facts_about(event: str, step: str = "", attempt: int = 0, url: str = URL, **status: Any) -> Facts:
    """What a message about a run says, one that has failed if no status is given."""
    run = execution("exec-1", uid="uid-1", **(status or FAILED))
    known = workflow(displayName="Image Classification")
    return of_run(
        run, known, NoticeName(event, "any", step, attempt), NoticeView("Pending", at("14:47:05")), url, NOW
    )


class ModelReceiver:
    """Takes messages, whoever sends them; `refuses` says with which error it does not, if any."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.traces: list[list[Received]] = []
        self.refuses_traces: ExportError | None = None
        self.asked = 0
        self.refuses: Callable[[Message], DeliveryError | None] = lambda _: None

    def take_trace(self, request: Mapping[str, Any]) -> None:
        """Take a trace; raises `ExportError`."""
        if self.refuses_traces is not None:
            raise self.refuses_traces
        self.traces.append(read(msgspec.json.decode(msgspec.json.encode(request))))

    def take(self, message: Message) -> None:
        """Take a message; raises `DeliveryError`."""
        self.asked += 1
        if (error := self.refuses(message)) is not None:
            raise error
        self.taken.append(message)

    @property
    def facts(self) -> list[Facts]:
        """What the messages are about."""
        return [message.facts for message in self.taken]

    @property
    def counted(self) -> Counter[tuple[str, str]]:
        """How often each message was taken, by channel and id."""
        return Counter((message.channel, message.facts.id) for message in self.taken)


class FixedTargets:
    """The targets of all namespaces."""

    def __init__(self, values: SecretValues) -> None:
        self.values = values

    def want(self) -> None:
        """They are there already."""

    def of(self, _: str) -> Targets | None:
        """All the same."""
        return targets_of(None, self.values)

    def channels(self, _: str) -> frozenset[str] | None:
        """All that there are."""
        return usable(targets_of(None, self.values))
