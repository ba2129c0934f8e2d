"""The numbers that decisions depend on, in seconds unless noted otherwise.

Decisions know these and not the settings they come from. The defaults stand here, once;
`settings` takes its own from them and explains each to whoever installs Nightcrawler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightcrawler_crds import defaults
from nightcrawler_crds.building.run import PodDefaults
from nightcrawler_crds.namespaces import NOWHERE, Namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(PodDefaults):
    """How long what may take, how often it may happen, and what an installation allows."""

    image_pull_timeout: float = 120.0
    """How long an image pull, or the start of a container, may keep failing before the step fails.

    What cannot recover (an invalid image name) fails at once.
    """
    missing_config_grace: float = 20.0
    """How long a Secret or ConfigMap may be missing before the step fails.

    The kubelet checks again only after 10 to 15 s: with less than that, a step would fail although the
    object has been created.
    """
    missing_rights_grace: float = 600.0
    """How long the operator may lack rights to create a step's Job or Pod before the step fails."""
    workflow_grace: float = 30.0
    """How long an execution waits for a Workflow that does not exist (yet)."""
    job_cleanup_after: float = 900.0
    """How long the Jobs of an ended execution are kept, for people to look at, unless it failed."""
    failed_job_cleanup_after: float = 24 * 3600.0
    """How long those of a failed one are."""
    cancel_grace: float = 60.0
    """How long a cancelled execution waits for its Pods to end."""
    status_window: float = 2.0
    """How long the start of a step may wait to be recorded together with other changes."""
    status_spacing: float = 1.0
    """Between two writes of one execution's status that only record steps that began or completed."""
    environment_status_spacing: float = 10.0
    """Between two writes of the status of one Environment."""
    max_disruptions: int = 5
    """Attempts after failures of the infrastructure, which use up no retry; a count."""
    duty_timeout: float = 3600.0
    """How long something that is owed to an ended execution may take before it is given up."""
    exports_traces: bool = False
    """Whether traces are exported."""
    archive_timeout: float = 24 * 3600.0
    """The same of archiving it: a database may be away for longer."""
    archived: Namespaces = NOWHERE
    """The namespaces whose executions the facade archives."""
    logged: Namespaces = NOWHERE
    """The namespaces of whose steps it keeps the logs."""
    max_owing_runs: int = 2_000
    """Ended executions that may owe something at the same time; a count."""
    history_completed: int = 10
    """Completed executions kept of each workflow that sets no number; a count."""
    history_failed: int = 10
    """Failed and cancelled executions kept of each workflow that sets no number; a count."""
    default_time_zone: str = defaults.TIME_ZONE
    """Time zone of cron expressions whose schedule names none."""
    catch_up_most: int = 100
    """How many missed times a schedule with catchUp makes up for, the newest; a count."""
    max_running: int | None = None
    """Runs under way at the same time in the whole installation; None for any number."""
    max_running_per_namespace: int | None = None
    """The same of each namespace that `max_running_in` does not name."""
    max_running_in: Mapping[str, int] = field(default_factory=dict)
    """The same of a namespace, by its name."""
    mask_secrets: bool = False
    """Whether values of Secrets are masked in messages, for workflows with secureSecrets."""
