"""The numbers that decisions depend on, in seconds unless said otherwise.

Decisions know these and not the settings they come from. The defaults stand here, once;
`settings` takes its own from them and explains each to whoever installs Nightcrawler.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nightcrawler_crds import defaults
from nightcrawler_crds.validation import PodPolicy
from nightcrawler_crds.words import Bytes, Cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long what may take, how often it may happen, and what an installation allows."""

    queue_timeout: float = 24 * 3600.0
    """A step's wait for its Pod to start."""
    default_timeout: float = defaults.TIMEOUT
    """An execution's time from its first Pod's start, where its workflow sets none."""
    default_retry_delay: float = defaults.RETRY_DELAY
    """Between two attempts after an error of the program, where nobody set it."""
    image_pull_timeout: float = 120.0
    """A pull, or the start of a container, that fails again and again, before the step is given up.

    What cannot mend itself (a bad name) fails at once.
    """
    missing_config_grace: float = 20.0
    """A missing Secret or ConfigMap, which may be on its way, before the step is given up.

    The kubelet looks for what a variable names again after 10 to 15 s, and not sooner: with less than
    that, a step would fail for what has long been there.
    """
    missing_rights_grace: float = 600.0
    """Rights that the operator lacks to make a step's Job or Pod, before the step is given up."""
    workflow_grace: float = 30.0
    """An execution's wait for a Workflow that is not there (yet)."""
    job_cleanup_after: float = 900.0
    """Jobs of an execution that has ended stay for so long, for people to look at."""
    cancel_grace: float = 60.0
    """A cancelled execution's wait for its Pods to be gone."""
    status_window: float = 2.0
    """A step's start may wait for so long to be recorded together with something else."""
    status_spacing: float = 1.0
    """Between two writes of one execution's status that tell of nothing but steps that went well."""
    max_disruptions: int = 5
    """Free attempts a step gets after failures of the infrastructure; a count."""
    history_completed: int = 10
    """Completed executions kept of each workflow that does not say; a count."""
    history_failed: int = 10
    """Failed and cancelled executions kept of each workflow that does not say; a count."""
    default_cpu: Cpu | None = None
    """Asked for by steps for which nobody wrote any; None asks for nothing."""
    default_memory: Bytes | None = None
    """Asked for by steps for which nobody wrote any; None asks for nothing."""
    pod_policy: PodPolicy = field(default_factory=PodPolicy)
    """What Pod templates may hold."""
