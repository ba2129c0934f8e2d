"""What a decision on one step looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.building.run import Run
from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.planning.resolved import ResolvedStep, resolve
from nightcrawler_crds.v1alpha1 import Step
from nightcrawler_crds.validation import Cordon, cordon
from nightcrawler_operator.decisions.status import sentence
from nightcrawler_operator.snapshot import Attempt, Snapshot

NOT_BEGUN: Final = StepStatusView(phase="Pending")
"""The status of a step of which nothing is recorded."""


@dataclass(frozen=True)
class StepContext:
    """A step with its recorded status, in a run as the Snapshot shows it."""

    step: Step
    recorded: StepStatusView
    run: Run
    snapshot: Snapshot

    @property
    def now(self) -> datetime:
        """The time of the decision."""
        return self.snapshot.now

    @cached_property
    def resolved(self) -> ResolvedStep:
        """What is in force for the step."""
        return resolve(self.step, self.run.revision, self.run.environment, self.snapshot.limits)

    @cached_property
    def cordon(self) -> Cordon | None:
        """Why no step is started in the run's Environment now; None if it is open."""
        return cordon(self.run.environment, self.now)

    @property
    def force_deletes(self) -> bool:
        """Whether Pods on nodes that do not answer are force-deleted."""
        return bool(self.run.environment.force_delete_on_lost_node)

    def job_name(self, attempt: int) -> str:
        """The name of an attempt's Job."""
        return names.child_name(self.run.execution, self.run.execution_uid, self.step.name, attempt)

    def attempt(self, number: int) -> Attempt:
        """The Job and the Pods of an attempt."""
        return self.snapshot.attempts.get((self.step.name, number), _NOTHING)

    def sentence(self, message: str) -> str:
        """A message about the step, without the values of Secrets if they are known."""
        mask = self.snapshot.mask
        return sentence(self.step.name, message if mask is None else mask(message))


_NOTHING: Final = Attempt()
