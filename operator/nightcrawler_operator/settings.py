"""The operator's settings: `NIGHTCRAWLER_*` variables of the environment, read once at start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import unquote, urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from nightcrawler_crds.election.death import Container
from nightcrawler_crds.election.elector import LeaseTerms
from nightcrawler_crds.namespaces import NOWHERE
from nightcrawler_crds.settings import (
    DNS_LABEL,
    CommonSettings,
    Count,
    Port,
    Span,
    Wait,
    own_namespace,
)
from nightcrawler_crds.variables import read, variable
from nightcrawler_operator.limits import Limits

_DEFAULT: Final = Limits()
# client-go's: a retry may be late by a fifth, and the lease must survive one that is.
_JITTER: Final = 1.2

_Name = Annotated[str, Field(max_length=253)]


def _page(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError(
            f"{variable('public_url')} {url!r} cannot be used. Accepted: a URL such as "
            "https://workflows.example.com, or one with the places "
            "https://dashboard.example.com/workflows/{workflow}/executions/{execution}."
        )
    return url


def _collector(url: str, info: ValidationInfo) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError(
            f"{variable(info.field_name or '')} cannot be used. Accepted: the address of a collector for "
            "OTLP over HTTP, such as http://collector.observability:4318."
        )
    return url


def _headers(text: str) -> dict[str, str]:
    """Headers as OpenTelemetry's variables have them: `name=value,name=value`."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


class Settings(CommonSettings):
    """All settings, valid and unchanging; make them with `load`."""

    watch_namespace: Annotated[str, Field(pattern=f"^(?:{DNS_LABEL})?$", max_length=63)] = Field(
        "", description="The only namespace whose workflows are run. Unset: those of all namespaces."
    )
    workers: Annotated[int, Ge(1), Le(256)] = Field(
        16, description="How many keys (executions, workflows, leftovers) are reconciled at the same time."
    )
    schedule_workers: Annotated[int, Ge(1), Le(256)] = Field(
        3,
        description="How many schedules, and runs that they have started, are reconciled at the same time, "
        "beside the other keys: a run that a person starts does not wait for thousands that are due at once. "
        "While such a run waits, one of them goes on and the others pause.",
    )
    catch_up_most: Annotated[int, Ge(1), Le(1000)] = Field(
        _DEFAULT.catch_up_most,
        description="How many missed times a schedule with catchUp makes up for at most: the newest.",
    )
    resync_period: Span = Field(
        600.0, description="How often everything is listed and reconciled again, in case an event was missed."
    )

    managed_jobs: bool = Field(
        True,
        description="Whether the operator creates the Pods of its Jobs itself (`spec.managedBy`, Kubernetes "
        "1.32 and later), which is quicker, instead of the Job controller.",
    )
    leader_election: bool = Field(
        True,
        description="Whether replicas agree on one leader. Switch it off only where there is one process.",
    )
    lease_duration: Span = Field(
        15.0, description="A leader that has not renewed its Lease for this long is replaced."
    )
    renew_deadline: Span = Field(
        10.0, description="A leader that could not renew for this long stops leading."
    )
    retry_period: Span = Field(
        2.0, description="How often the leader renews the Lease, and the others read it."
    )
    pod_name: _Name = Field(
        "",
        description="The Pod in which the operator runs (`fieldRef: metadata.name`). With this, its UID and "
        "its container, a leader that has died is replaced at once.",
    )
    pod_namespace: _Name = Field(
        default_factory=own_namespace,
        description="The namespace of that Pod (`metadata.namespace`). Unset: that of its service account.",
    )
    pod_uid: _Name = Field("", description="The UID of that Pod (`metadata.uid`).")
    container_name: _Name = Field("", description="The name of the operator's container in that Pod.")

    queue_timeout: Span = Field(
        _DEFAULT.queue_timeout,
        description="How long a step may wait for its Pod to start before its run fails.",
    )
    image_pull_timeout: Wait = Field(
        _DEFAULT.image_pull_timeout,
        description="How long pulling an image or starting a container may fail before the step fails.",
    )
    missing_config_grace: Wait = Field(
        _DEFAULT.missing_config_grace,
        description="How long a step waits for a missing Secret or ConfigMap before it fails.",
    )
    missing_rights_grace: Wait = Field(
        _DEFAULT.missing_rights_grace,
        description="How long a step waits for rights that the operator itself lacks before it fails.",
    )
    workflow_not_found_grace: Wait = Field(
        _DEFAULT.workflow_grace,
        description="How long an execution waits for its missing Workflow before it fails.",
    )
    cancel_grace: Wait = Field(
        _DEFAULT.cancel_grace, description="How long a cancelled execution waits for its Pods to be gone."
    )
    status_window: Wait = Field(
        _DEFAULT.status_window,
        description="How late a step's start may be recorded, so that it shares a write with other changes.",
    )
    status_spacing: Wait = Field(
        _DEFAULT.status_spacing,
        description="The shortest time between two writes of a run's progress while its steps go well.",
    )
    environment_status_spacing: Wait = Field(
        _DEFAULT.environment_status_spacing,
        description="The shortest time between two writes of the status of an Environment, which has what is "
        "free in it.",
    )
    max_disruptions: Count = Field(
        _DEFAULT.max_disruptions,
        description="How often a step is repeated, without using up retries, after failures of nodes or the "
        "cluster.",
    )

    job_cleanup_after: Wait = Field(
        _DEFAULT.job_cleanup_after,
        description="How long the Jobs of a completed or cancelled run stay after it has ended.",
    )
    failed_job_cleanup_after: Wait = Field(
        _DEFAULT.failed_job_cleanup_after,
        description="How long the Jobs of a failed run stay after it has ended.",
    )
    duty_timeout: Span = Field(
        _DEFAULT.duty_timeout,
        description="How long a duty of an ended run (status.duties), such as the entry in its schedule, may "
        "take before it is given up.",
    )
    archive_timeout: Span = Field(
        _DEFAULT.archive_timeout,
        description="How long archiving an ended run may take before it is given up (KEEP=archive).",
    )
    max_owing_runs: Count = Field(
        _DEFAULT.max_owing_runs,
        description="How many ended runs may have duties at the same time; beyond that, those of the oldest "
        "are given up.",
    )
    history_completed: Count = Field(
        _DEFAULT.history_completed,
        description="Completed runs kept of each workflow that sets no history.",
    )
    history_failed: Count = Field(
        _DEFAULT.history_failed,
        description="Failed and cancelled runs kept of each workflow that sets no history.",
    )

    events: bool = Field(
        True,
        description="Whether Kubernetes Events are recorded for executions: what `kubectl describe` shows.",
    )

    public_url: Annotated[str, AfterValidator(_page)] = Field(
        "",
        description="The address of the dashboard, or of the REST API, for links in messages. It may contain "
        "{namespace}, {workflow} and {execution}, for links to the page of a run.",
    )
    notifications_folder: Path | None = Field(
        None,
        description="The targets of messages for workflows of all namespaces: a folder with a file for each "
        "key, as a mounted Secret has them. Unset: only namespaces have targets.",
    )
    notifications_namespaced: bool = Field(
        True,
        description="Whether a Secret nightcrawler-notifications in the namespace of a workflow replaces the "
        "installation's targets, channel by channel.",
    )
    notifications_allow_internal: bool = Field(
        False,
        description="Whether messages may go to addresses that are not public: of the cluster, of private "
        "networks, of the node itself. People who may write such a Secret can then send requests to all that "
        "the operator can reach.",
    )
    notifications_ca_file: Path | None = Field(
        None,
        description="Certificates of further authorities to trust when connecting to receivers of messages: "
        "a PEM file.",
    )
    otlp_endpoint: Annotated[str, AfterValidator(_collector)] = Field(
        "",
        description="Where traces of runs are exported: an OTLP collector's address for HTTP, such as "
        "http://collector:4318. Unset: they are only read over REST.",
    )
    otlp_headers: str = Field(
        "",
        description="Headers for the collector, as `name=value,name=value`.",
    )
    otlp_ca_file: Path | None = Field(
        None,
        description="Certificates of the authorities to trust when connecting to the collector: a PEM file.",
    )
    steps_otlp_endpoint: Annotated[str, AfterValidator(_collector)] = Field(
        "",
        description="Where programs in steps export their own traces: the value of "
        "OTEL_EXPORTER_OTLP_ENDPOINT in workflows with a traceLevel. Unset: the variable is not set.",
    )
    probe_host: str = Field(
        "127.0.0.1",
        description="The address of /healthz, /readyz and /metrics; 0.0.0.0 in a Pod, for the kubelet.",
    )
    probe_port: Port = Field(
        8081, description="The port of /healthz, /readyz and /metrics; 0 takes any free one."
    )

    @model_validator(mode="after")
    def _lease_times_fit(self) -> Self:
        if self.lease_duration <= self.renew_deadline:
            raise ValueError(
                f"{variable('lease_duration')} ({self.lease_duration:g} s) must be longer than "
                f"{variable('renew_deadline')} ({self.renew_deadline:g} s): "
                "a leader must stop before another begins."
            )
        if self.renew_deadline <= _JITTER * self.retry_period:
            raise ValueError(
                f"{variable('renew_deadline')} ({self.renew_deadline:g} s) must be longer than {_JITTER} "
                f"times {variable('retry_period')} ({self.retry_period:g} s): "
                "a leader must get to renew at least once."
            )
        return self

    @property
    def lease_terms(self) -> LeaseTerms:
        """The Lease of the leader election, and its times."""
        return LeaseTerms(
            namespace=self.lease_namespace,
            name=self.lease_name,
            lease_duration=self.lease_duration,
            renew_deadline=self.renew_deadline,
            retry_period=self.retry_period,
        )

    @property
    def container(self) -> Container | None:
        """The container that the operator runs in, if all its settings are set."""
        if not (self.pod_name and self.pod_uid and self.container_name):
            return None
        return Container(
            namespace=self.pod_namespace,
            pod=self.pod_name,
            pod_uid=self.pod_uid,
            name=self.container_name,
        )

    @property
    def exporter_headers(self) -> dict[str, str]:
        """The headers for the collector."""
        return _headers(self.otlp_headers)

    @property
    def limits(self) -> Limits:
        """The settings that decisions depend on."""
        own = self.step_defaults
        return Limits(
            queue_timeout=self.queue_timeout,
            default_timeout=own.default_timeout,
            default_retry_delay=own.default_retry_delay,
            default_cpu=own.default_cpu,
            default_memory=own.default_memory,
            image_pull_timeout=self.image_pull_timeout,
            missing_config_grace=self.missing_config_grace,
            missing_rights_grace=self.missing_rights_grace,
            workflow_grace=self.workflow_not_found_grace,
            job_cleanup_after=self.job_cleanup_after,
            failed_job_cleanup_after=self.failed_job_cleanup_after,
            cancel_grace=self.cancel_grace,
            status_window=self.status_window,
            status_spacing=self.status_spacing,
            environment_status_spacing=self.environment_status_spacing,
            max_disruptions=self.max_disruptions,
            duty_timeout=self.duty_timeout,
            archive_timeout=self.archive_timeout,
            archived=self.served if self.archives else NOWHERE,
            logged=self.served if self.keeps_logs else NOWHERE,
            max_owing_runs=self.max_owing_runs,
            exports_traces=bool(self.otlp_endpoint),
            steps_otlp_endpoint=self.steps_otlp_endpoint,
            default_time_zone=self.default_time_zone,
            catch_up_most=self.catch_up_most,
            history_completed=self.history_completed,
            history_failed=self.history_failed,
            max_running=self.max_running,
            max_running_per_namespace=self.max_running_per_namespace,
            max_running_in=self.max_running_in,
            priority_class_prefix=self.priority_class_prefix,
            storage_class=self.storage_class,
            storage_access_mode=own.storage_access_mode,
            storage_fs_group=self.storage_fs_group,
            mask_secrets=self.mask_secrets,
            pod_policy=self.pod_policy,
        )


def load() -> Settings:
    """The settings of this process's environment.

    Raises:
        ConfigurationError: Variables cannot be used; each has a line with its value and what is accepted.
    """
    return read(Settings)
