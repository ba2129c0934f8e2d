"""Sends the messages that statuses have as Pending, each until it is taken, refused, or too old.

At least once: a process that dies after it has sent and before that is recorded has it sent again, with the
same id. What has become of a message is remembered until a reconciler has recorded it, so that an API server
that is away has nothing sent twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.validation import NO_NOTICES, WantedNotices, wanted_by
from nightcrawler_crds.words import format_duration_words
from nightcrawler_operator.cluster.deliveries import Delivery
from nightcrawler_operator.cluster.notices import pending
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.notifications import configured, facts, outbox
from nightcrawler_operator.decisions.notifications.outbox import NoticeName
from nightcrawler_operator.decisions.notifications.targets import MailTarget, Target, TargetProblem
from nightcrawler_operator.effects.notifications.delivery import DeliveryError, Message, Transport
from nightcrawler_operator.effects.notifications.receiverlimits import ReceiverLimits
from nightcrawler_operator.keys import DutyKey, ExecutionKey, NoticeKey, WorkflowKey, WorkKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, NotLeading, Outcome, Waiting

log = logging.getLogger(__name__)

_FIRST_BACKOFF: Final = 5.0
_LONGEST_BACKOFF: Final = 600.0
_UNKNOWN: Final = timedelta(seconds=1)
_SPACING: Final = timedelta(minutes=5)
"""Between two messages about scheduled times of one workflow: what comes together is one message."""


class Metrics(Protocol):
    """Counts messages."""

    def delivered(self, channel: str, outcome: str) -> None:
        """An attempt was made (sent, failed, retried), or there is nowhere to send to (no_target)."""
        ...


class NotificationEffect:
    """Sends messages. `wake` queues what is to record a result; `time_left` is that of the Lease."""

    wake_delay = 0.0

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        transport: Transport,
        limits: Limits,
        *,
        public_url: str,
        time_left: Callable[[], float],
        wake: Callable[[WorkKey], None],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._transport = transport
        self._limits = limits
        self._public_url = public_url
        self._time_left = time_left
        self._wake = wake
        self._metrics = metrics
        self._receivers = ReceiverLimits()

    def all_keys(self) -> Iterator[NoticeKey]:
        """Every message that is to be sent."""
        for execution in (*self._cluster.executions, *self._cluster.owing):
            yield from pending(execution.metadata, execution.status.notifications)
        for workflow in self._cluster.workflows:
            yield from pending(workflow.metadata, workflow.status.notifications, names.WORKFLOWS.kind)

    async def reconcile(self, key: NoticeKey) -> Outcome:
        """Send one message, if it is time; returns when to try again.

        Raises:
            NotLeading: The Lease is about to expire.
            ApiError: What it is about cannot be read.
        """
        notice, about = self._recorded(key), outbox.parse_name(key.notice)
        if notice is None or notice.state != outbox.PENDING or about is None:
            return Done()
        now, known = utcnow(), self._cluster.notices.deliveries.get(key.uid, key.notice)
        if known is not None and known.notice.time == notice.time:
            if known.notice.state != outbox.PENDING:
                self._wake(self._recorder(key))
                return Done()
            if known.again is not None and known.again > now:
                return Waiting(known.again)
            notice = known.notice
        if (spaced := _not_before(about, notice)) is not None and spaced > now:
            return Waiting(spaced)
        over = (notice.time or now) + timedelta(seconds=self._limits.duty_timeout)
        if over <= now:
            return self._give_up(key, notice)
        return await self._send(key, about, notice, over)

    async def _send(self, key: NoticeKey, about: NoticeName, notice: NoticeView, over: datetime) -> Outcome:
        subject = await self._subject(key)
        if subject is None:
            return Done()  # it was deleted
        targets = self._cluster.notices.targets.of(key.namespace)
        if targets is None:
            return Waiting(utcnow() + _UNKNOWN)
        target = targets.get(about.channel)
        message = await self._message(subject, about, notice, target)
        if isinstance(message, TargetProblem):
            error = DeliveryError(message.message, final=True)
            return self._failed(key, notice, error, over, outcome="no_target")
        limit = self._receivers.of(message.target)
        if (later := limit.wait(utcnow())) is not None:
            return Waiting(later)
        if self._time_left() < 1.0:
            raise NotLeading  # what is sent now could not be recorded, and would be sent again
        limit.begin()
        reached = False
        try:
            await self._transport.send(message)
            reached = True
        except DeliveryError as error:
            reached = error.final
            return self._failed(key, notice, error, over)
        finally:
            limit.end(utcnow(), reached=reached)
        return self._sent(key, notice, about)

    # --- what became of it ---------------------------------------------------------------------------

    def _sent(self, key: NoticeKey, notice: NoticeView, about: NoticeName) -> Outcome:
        self._metrics.delivered(about.channel, "sent")
        self._note(
            key,
            Delivery(
                msgspec.structs.replace(
                    notice,
                    state=outbox.SENT,
                    attempts=_attempts(notice),
                    last_error=None,
                    sent_at=utcnow().replace(microsecond=0),
                )
            ),
        )
        return Done()

    def _failed(
        self,
        key: NoticeKey,
        notice: NoticeView,
        error: DeliveryError,
        over: datetime,
        *,
        outcome: str = "failed",
    ) -> Outcome:
        about = outbox.parse_name(key.notice)
        channel = about.channel if about is not None else ""
        again = utcnow() + timedelta(seconds=_backoff(notice, error))
        final = error.final or again >= over
        self._metrics.delivered(channel, outcome if final else "retried")
        log.log(
            logging.WARNING if final else logging.INFO,
            "the message %s was not delivered%s: %s",
            key.notice,
            "" if final else " yet",
            error.sentence,
        )
        late = "; not tried again, because it is too old" if final and not error.final else ""
        tried = msgspec.structs.replace(
            notice,
            state=outbox.FAILED if final else outbox.PENDING,
            attempts=_attempts(notice),
            last_error=(error.sentence + late)[: outbox.MAX_ERROR],
        )
        self._note(key, Delivery(tried, None if final else again))
        return Done() if final else Waiting(again)

    def _give_up(self, key: NoticeKey, notice: NoticeView) -> Outcome:
        why = f"not sent within {format_duration_words(self._limits.duty_timeout)}"
        text = f"{why}; {notice.last_error}" if notice.last_error else why
        failed = msgspec.structs.replace(notice, state=outbox.FAILED, last_error=text[: outbox.MAX_ERROR])
        self._note(key, Delivery(failed))
        return Done()

    def _note(self, key: NoticeKey, delivery: Delivery) -> None:
        self._cluster.notices.deliveries.note(key.uid, key.notice, delivery)
        self._wake(self._recorder(key))

    def _recorder(self, key: NoticeKey) -> WorkKey:
        """What records the result: the reconciler of whatever the message is about, as it is now."""
        if key.kind == names.WORKFLOWS.kind:
            return WorkflowKey(key.namespace, key.name)
        live = self._cluster.executions.get((key.namespace, key.name))
        if live is not None and live.metadata.uid == key.uid:
            return ExecutionKey(key.namespace, key.name)
        return DutyKey(key.namespace, key.name)

    # --- what it is about ----------------------------------------------------------------------------

    def _recorded(self, key: NoticeKey) -> NoticeView | None:
        """What the status says of the message, as far as it is cached."""
        where = (key.namespace, key.name)
        known = (
            self._cluster.workflows.get(where)
            if key.kind == names.WORKFLOWS.kind
            else self._cluster.executions.get(where) or self._cluster.owing.get(where)
        )
        if known is None or known.metadata.uid != key.uid:
            return None
        return (known.status.notifications or {}).get(key.notice)

    async def _subject(self, key: NoticeKey) -> ExecutionView | WorkflowView | None:
        """The workflow, or the run in full: one that has ended is not cached."""
        where = (key.namespace, key.name)
        if key.kind == names.WORKFLOWS.kind:
            return self._cluster.workflows.get(where)
        live = self._cluster.executions.get(where)
        if live is not None and live.metadata.uid == key.uid:
            return live
        try:
            found = await self._store.get(names.EXECUTIONS, *where, ExecutionView)
        except errors.NotFound:
            return None
        return found if found.metadata.uid == key.uid else None

    async def _message(
        self,
        subject: ExecutionView | WorkflowView,
        about: NoticeName,
        notice: NoticeView,
        target: Target | TargetProblem | None,
    ) -> Message | TargetProblem:
        if target is None or isinstance(target, TargetProblem):
            return target or TargetProblem("", f"there is no channel {about.channel!r}")
        now, url = utcnow(), self._public_url
        if isinstance(subject, WorkflowView):
            workflow: WorkflowView | None = subject
            said = facts.of_times(subject, notice, url, now)
        else:
            workflow = self._cluster.workflows.get(
                (subject.metadata.namespace, subject.spec.workflow_ref.name)
            )
            said = facts.of_run(subject, workflow, about, notice, url, now)
        if not isinstance(target, MailTarget):
            return Message(said, about.channel, target)
        wanted = await self._wanted(subject, workflow)
        domains = self._cluster.notices.options.domains
        if problem := configured.no_recipients(wanted, target, domains):
            return problem
        return Message(said, about.channel, target, configured.recipients(wanted, target, domains))

    async def _wanted(
        self, subject: ExecutionView | WorkflowView, workflow: WorkflowView | None
    ) -> WantedNotices:
        """Who is to get e-mails: as the workflow was when the run began."""
        name = subject.status.revision if isinstance(subject, ExecutionView) else None
        if name is None:
            return wanted_by(workflow.spec) if workflow is not None else NO_NOTICES
        namespace = subject.metadata.namespace
        cached = self._cluster.revisions.recorded((namespace, name))
        if cached is not None:
            return cached.notices
        try:
            found = await self._store.get(names.REVISIONS, namespace, name, RevisionView)
        except errors.NotFound:
            return NO_NOTICES
        return wanted_by(found.data)


def _attempts(notice: NoticeView) -> int:
    return (notice.attempts or 0) + 1


def _backoff(notice: NoticeView, error: DeliveryError) -> float:
    """Seconds until the next attempt."""
    doubled = _FIRST_BACKOFF * 2.0 ** min(notice.attempts or 0, 20)
    return min(max(doubled, error.retry_after or 0.0), _LONGEST_BACKOFF)


def _not_before(about: NoticeName, notice: NoticeView) -> datetime | None:
    """When the next message about scheduled times may be sent, if there was one before."""
    if about.event != outbox.SKIP or notice.sent_at is None:
        return None
    return notice.sent_at + _SPACING
