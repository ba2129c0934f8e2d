"""What a message and its delivery look like to those who send it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from nightcrawler_operator.decisions.notifications.facts import Facts
from nightcrawler_operator.decisions.notifications.targets import Target

TIMEOUT: Final = 10.0
"""Seconds for all of one attempt."""


class DeliveryError(Exception):
    """A message was not delivered; the sentence has nothing of the target in it.

    `final`: trying again cannot help. `retry_after`: the receiver's own wish, in seconds.
    """

    def __init__(self, sentence: str, *, final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.final = final
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way: what it is about, where it goes, and for e-mails who gets it."""

    facts: Facts
    channel: str
    target: Target = field(repr=False)
    recipients: tuple[str, ...] = ()


class Transport(Protocol):
    """Takes messages to their receivers."""

    async def send(self, message: Message) -> None:
        """Deliver a message once; raises `DeliveryError` and nothing else."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
