"""The messages that are to be sent, as the caches show them, with their targets and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nightcrawler_crds import names
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.store import Store
from nightcrawler_operator.cluster.deliveries import Deliveries
from nightcrawler_operator.cluster.targets import TargetSecrets
from nightcrawler_operator.decisions.notifications.outbox import PENDING
from nightcrawler_operator.keys import NoticeKey


def _nobody(_: NoticeKey) -> None:
    """Nobody sends messages."""


@dataclass(frozen=True, slots=True)
class NoticeOptions:
    """How messages are sent.

    Attributes:
        folder: The installation's Secret, a file for each key; None for none.
        namespaced: Whether the Secrets of namespaces are read, too.
        domains: The domains of addresses that may get e-mails; none allow all.
        wake: Called with each message that is to be sent.
    """

    folder: Path | None = None
    namespaced: bool = True
    domains: tuple[str, ...] = ()
    wake: Callable[[NoticeKey], None] = _nobody


class Notices:
    """Wakes what sends messages when a status has some that are Pending.

    `on_targets` is called with a namespace whose targets may have changed, with an empty one for all.
    """

    def __init__(
        self, store: Store, namespace: str, options: NoticeOptions, *, on_targets: Callable[[str], None]
    ) -> None:
        self.options = options
        self.deliveries = Deliveries()
        self.targets = TargetSecrets(
            store, namespace, folder=options.folder, namespaced=options.namespaced, on_change=on_targets
        )

    def observed(
        self, meta: Meta, notices: Mapping[str, NoticeView] | None, kind: str = names.EXECUTIONS.kind
    ) -> None:
        """The status of an execution or a workflow was read, or written by us."""
        if not notices:
            return
        self.deliveries.observed(meta.uid, notices)
        for key in pending(meta, notices, kind):
            self.options.wake(key)


def pending(
    meta: Meta, notices: Mapping[str, NoticeView] | None, kind: str = names.EXECUTIONS.kind
) -> Iterator[NoticeKey]:
    """The keys of the messages that are to be sent."""
    for notice, one in (notices or {}).items():
        if one.state == PENDING:
            yield NoticeKey(meta.namespace, meta.name, meta.uid, notice, kind)
