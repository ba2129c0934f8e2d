"""The condition NotificationsConfigured of a workflow: whether its messages can be sent. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import WantedNotices, is_allowed
from nightcrawler_operator.decisions.notifications.targets import MailTarget, TargetProblem, Targets

Said = tuple[str, str, str]
"""Status, reason, message."""


def configured(wanted: WantedNotices, targets: Targets | None, domains: Collection[str]) -> Said | None:
    """What to say; None for a workflow that wants no messages. `targets` are None while they are unknown."""
    if not wanted:
        return None
    if targets is None:
        return "Unknown", conditions.TARGETS_UNKNOWN, "the Secrets with the targets cannot be read yet"
    problems = [
        *_without_target(wanted, targets),
        *(_of_mail(wanted, target, domains) if isinstance(target := targets["email"], MailTarget) else ()),
    ]
    if problems:
        return "False", problems[0].reason, "; ".join(problem.message for problem in problems)
    used = sorted(wanted.channels | {one for one in wanted.others if _is_target(targets, one)})
    return "True", conditions.TARGETS_FOUND, f"there is a target for {', '.join(used)}"


def recipients(wanted: WantedNotices, target: MailTarget, domains: Collection[str]) -> tuple[str, ...]:
    """Who gets the e-mails of a workflow: those that it names, else those of the target, if they may."""
    named = wanted.email_to or target.recipients
    return tuple(address for address in named if is_allowed(address, domains))


def no_recipients(
    wanted: WantedNotices, target: MailTarget, domains: Collection[str]
) -> TargetProblem | None:
    """Why nobody gets the e-mails of a workflow; None if somebody does."""
    named = wanted.email_to or target.recipients
    if not named:
        return TargetProblem(
            conditions.NO_RECIPIENTS,
            "email has no recipients: list them in config.notifications.emailTo, or in the Secret's email-to",
        )
    if not recipients(wanted, target, domains):
        message = f"email has no recipients that may get any: only those of {', '.join(sorted(domains))} may"
        return TargetProblem(conditions.REFUSED_RECIPIENTS, message)
    return None


def _without_target(wanted: WantedNotices, targets: Targets) -> Iterator[TargetProblem]:
    for channel in sorted(wanted.channels):
        if isinstance(found := targets[channel], TargetProblem):
            yield found
    if not wanted.channels and not any(_is_target(targets, channel) for channel in wanted.others):
        message = "notifications are enabled, and no channel has a target: " + "; ".join(
            found.message
            for channel in sorted(wanted.others)
            if isinstance(found := targets[channel], TargetProblem)
        )
        yield TargetProblem(conditions.NO_TARGET, message)


def _of_mail(wanted: WantedNotices, target: MailTarget, domains: Collection[str]) -> Iterator[TargetProblem]:
    if "email" not in wanted.channels | wanted.others:
        return
    if problem := no_recipients(wanted, target, domains):
        yield problem
        return
    outside = [address for address in wanted.email_to if not is_allowed(address, domains)]
    if outside:
        message = (
            f"{', '.join(outside)} cannot get e-mails of workflows: only those of "
            f"{', '.join(sorted(domains))} may"
        )
        yield TargetProblem(conditions.REFUSED_RECIPIENTS, message)


def _is_target(targets: Targets, channel: str) -> bool:
    return not isinstance(targets[channel], TargetProblem)
