"""The settings of both processes, and the types of settings.

The tables of settings in the documentation are generated from the fields' descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nightcrawler_crds import defaults, words
from nightcrawler_crds.building.run import PodDefaults
from nightcrawler_crds.namespaces import Namespaces
from nightcrawler_crds.v1alpha1 import AccessMode
from nightcrawler_crds.validation.podtemplate import BEYOND, Level, PodPolicy, Power
from nightcrawler_crds.validation.schedules import zone_problem
from nightcrawler_crds.variables import PREFIX, variable

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def pod_namespace() -> str | None:
    """The namespace of this Pod; None outside a Pod."""
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def own_namespace() -> str:
    """The namespace of this Pod; `default` outside a Pod."""
    return pod_namespace() or "default"


def _seconds(value: words.Word, info: ValidationInfo) -> float:
    return words.parse_duration(value, what=variable(info.field_name or "duration"))


def _some_seconds(seconds: float, info: ValidationInfo) -> float:
    if seconds <= 0:
        raise ValueError(f"{variable(info.field_name or 'duration')} must be longer than 0 seconds.")
    return seconds


def _parsed_by(parse: Callable[[str], object]) -> Callable[[str | None, ValidationInfo], str | None]:
    def check(word: str | None, info: ValidationInfo) -> str | None:
        try:
            if word is not None:
                parse(word)
        except words.WordError as error:
            raise ValueError(f"{variable(info.field_name or '')}: {error}") from error
        return word

    return check


def _known_zone(name: str, info: ValidationInfo) -> str:
    if why := zone_problem(name):
        raise ValueError(f"{variable(info.field_name or '')} {why}.")
    return name


def _http_url(url: str | None, info: ValidationInfo) -> str | None:
    parts = urlsplit(url or "http://x")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"{variable(info.field_name or '')} {url!r} cannot be used. Accepted: an address such as "
            "http://prometheus.monitoring:9090, with a path if need be."
        )
    return url


def _kept(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if word not in KEPT:
            raise ValueError(
                f"{variable('keep')} {word!r} cannot be used. Accepted: {', '.join(KEPT)}, separated by "
                "commas."
            )
    return words


def lower(value: object) -> object:
    """Text in lower case: words are accepted in any."""
    return value.lower() if isinstance(value, str) else value


def items(value: object) -> object:
    """The items of a comma-separated list."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _some_or_all(value: object) -> object:
    return "*" if isinstance(value, str) and value.strip() == "*" else items(value)


DNS_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"

Wait = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, written as a duration; may be 0."""
Span = Annotated[float, BeforeValidator(_seconds), AfterValidator(_some_seconds)]
"""Seconds, written as a duration; more than 0."""
Count = Annotated[int, Ge(0), Le(10_000)]
Port = Annotated[int, Ge(0), Le(65535)]
_ClassPrefix = Annotated[str, Field(pattern=r"^(?:[a-z0-9][-a-z0-9.]*)?$", max_length=200)]
DnsLabel = Annotated[str, Field(pattern=f"^{DNS_LABEL}$", max_length=63)]


_Most = Annotated[int | None, Ge(1), Le(1_000_000)]
_NAMESPACE_LIMIT: Final = re.compile(rf"\s*({DNS_LABEL})\s*=\s*([1-9][0-9]{{0,5}})\s*")


def _by_namespace(value: object) -> object:
    """Limits by namespace, as they are written in a variable."""
    if not isinstance(value, str):
        return value
    limits: dict[str, int] = {}
    for part in value.split(","):
        found = _NAMESPACE_LIMIT.fullmatch(part)
        if found is None:
            raise ValueError(
                f"{variable('max_running_in')} {value!r} cannot be used. Accepted: namespaces with the "
                "number of runs, at least 1, separated by commas: vision=20, nightly=5."
            )
        limits[found[1]] = int(found[2])
    return limits


_MostByNamespace = Annotated[dict[str, int], NoDecode, BeforeValidator(_by_namespace)]

KEPT: Final = ("archive", "logs")
"""What can be kept of runs that have ended."""


class CommonSettings(BaseSettings):
    """The settings of both operator and facade; each adds its own."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    kubeconfig: Annotated[Path | None, AfterValidator(lambda path: path and path.expanduser())] = Field(
        None,
        description="The kubeconfig to use. Unset: the Pod's service account, else the default kubeconfig.",
    )
    lease_name: DnsLabel = Field(
        "nightcrawler-operator",
        description="The Lease by which replicas of the operator agree on a leader, and by which the facade "
        "sees whether there is one.",
    )
    lease_namespace: DnsLabel = Field(
        default_factory=own_namespace,
        description="The namespace of that Lease. Unset: the Pod's own namespace, else `default`.",
    )
    namespace: DnsLabel = Field(
        "nightcrawler-workflows",
        description="The home namespace: the one whose workflows the facade serves. It must exist, and be "
        "for workflows only: people who may run workflows in it can read its Secrets, by a step that prints "
        "them.",
    )
    namespaces: Annotated[tuple[DnsLabel, ...] | Literal["*"], NoDecode, BeforeValidator(_some_or_all)] = (
        Field(
            (),
            description="Further namespaces that the facade serves, separated by commas, or * for all. The "
            "ids of their workflows have the form `vision:wf-1001`. Set this and NAMESPACE to the same for "
            "operator and facade: the operator does not prune runs of these namespaces before the facade "
            "has kept them (KEEP).",
        )
    )
    allow_own_namespace: bool = Field(
        False,
        description="Whether the facade may serve the namespace that it runs in itself. People who may run "
        "workflows there can read the installation's Secrets.",
    )
    keep: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items), AfterValidator(_kept)] = Field(
        (),
        description="What the facade keeps of runs that have ended, separated by commas: `archive`, `logs`. "
        "Set it to the same for operator and facade: the operator does not prune a run before the facade has "
        "kept it. Unset: nothing.",
    )
    default_timeout: Span = Field(defaults.TIMEOUT, description="Timeout of runs whose workflow sets none.")
    default_retry_delay: Wait = Field(
        defaults.RETRY_DELAY, description="The delay before a retry where no retryDelay is set."
    )
    default_time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        defaults.TIME_ZONE, description="Time zone of schedules that name none: an IANA name."
    )
    default_cpu: Annotated[str | None, AfterValidator(_parsed_by(words.parse_cpu))] = Field(
        None, description="CPU request of steps that set none. Unset: none."
    )
    default_memory: Annotated[str | None, AfterValidator(_parsed_by(words.parse_memory))] = Field(
        None, description="Memory request and limit of steps that set none. Unset: none."
    )
    storage_class: Annotated[str, Field(max_length=253)] | None = Field(
        None,
        description="StorageClass of the volumes that runs share among their steps, where the Environment "
        "names none. Unset: the cluster's default class.",
    )
    storage_fs_group: Annotated[int, Ge(0), Le(2**31 - 1)] = Field(
        defaults.STORAGE_FS_GROUP,
        description="The group (`fsGroup`) that may write to these volumes, so that steps need not run as "
        "root. 0: none is set, as where the cluster's policy chooses it.",
    )
    storage_access_mode: AccessMode = Field(
        "ReadWriteOnce",
        description="Access mode of the volumes that runs share among their steps, where the Environment "
        "names none. With `ReadWriteMany` their steps may run on several nodes.",
    )
    max_running: _Most = Field(
        None,
        description="How many runs may be under way at the same time. Further ones wait in line, by the "
        "priority of their workflow, then by age. Unset: any number.",
    )
    max_running_per_namespace: _Most = Field(
        None,
        description="How many runs may be under way at the same time in each namespace that MAX_RUNNING_IN "
        "does not name. Unset: any number.",
    )
    max_running_in: _MostByNamespace = Field(
        default_factory=dict,
        description="How many runs may be under way at the same time in these namespaces: "
        "`vision=20, nightly=5`.",
    )
    priority_class_prefix: _ClassPrefix = Field(
        "",
        description="The beginning of the names of PriorityClasses, before the workflow's priority: with "
        "`nightcrawler-`, steps of priority high have the class `nightcrawler-high`. Unset: priority sets no "
        "class.",
    )
    allow_service_account: bool = Field(
        False,
        description="Whether a podTemplate may set a service account, and so use its permissions, "
        "or project tokens, certificates and trust bundles.",
    )
    allow_host_namespaces: bool = Field(
        False,
        description="Whether a podTemplate may use the node's network, PID or IPC namespace, "
        "or let the kubelet probe other hosts.",
    )
    allow_host_ports: bool = Field(False, description="Whether a podTemplate may use host ports.")
    allow_host_path: bool = Field(False, description="Whether a podTemplate may mount hostPath volumes.")
    allow_host_users: bool = Field(False, description="Whether a podTemplate may set hostUsers.")
    allow_privileged: bool = Field(
        False,
        description="Whether a podTemplate may have privileged containers, and other settings in security "
        "contexts that the baseline Pod Security Standard forbids.",
    )
    allow_direct_volumes: bool = Field(
        False,
        description="Whether a podTemplate may mount CSI or NFS volumes without a PersistentVolumeClaim.",
    )
    allow_node_name: bool = Field(
        False, description="Whether a podTemplate may set nodeName, which bypasses the scheduler and taints."
    )
    allow_scheduler_name: bool = Field(False, description="Whether a podTemplate may set schedulerName.")
    allow_priority_class: bool = Field(
        False, description="Whether a podTemplate may set priorityClassName, and so preempt other Pods."
    )
    steps_pod_security: Annotated[Level, BeforeValidator(lower)] = Field(
        "privileged",
        description="The Pod Security level that the namespaces of steps enforce. Fields of a podTemplate "
        "that the level demands and that are not set are filled in; fields that exceed it are refused.",
    )
    notification_domains: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items)] = Field(
        (),
        description="The domains of addresses that may get e-mails of workflows, separated by commas. "
        "Unset: all.",
    )
    usage: bool = Field(
        True,
        description="Whether CPU and memory of steps are measured, if the cluster serves metrics.k8s.io "
        "(metrics-server), and GPUs if PROMETHEUS_URL is set.",
    )
    prometheus_url: Annotated[str | None, AfterValidator(_http_url)] = Field(
        None,
        description="A Prometheus that scrapes NVIDIA's DCGM exporter, for how busy GPUs are: "
        "`http://prometheus.monitoring:9090`. Unset: GPUs are not measured.",
    )
    prometheus_gpu_query: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        "DCGM_FI_DEV_GPU_UTIL",
        description="The query for that: percent, with the labels namespace and pod (or exported_…).",
    )
    mask_secrets: bool = Field(
        False,
        description="Whether the values of the Secrets that steps use are masked in logs and messages, for "
        "workflows with secureSecrets. It needs the right to read Secrets, which the chart then grants.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = Field(
        "info", description="The lowest level that is logged."
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(lower)] = Field(
        "text", description="Plain text, or one JSON object per line."
    )

    @property
    def archives(self) -> bool:
        """Whether runs that have ended are archived."""
        return "archive" in self.keep

    @property
    def keeps_logs(self) -> bool:
        """Whether logs of steps are kept."""
        return "logs" in self.keep

    @property
    def hidden_namespace(self) -> str | None:
        """The namespace that is not served although all are: that of operator and facade."""
        return None if self.namespaces != "*" or self.allow_own_namespace else pod_namespace()

    @property
    def served(self) -> Namespaces:
        """The namespaces that the facade serves, and of whose runs it keeps what `keep` says."""
        if self.namespaces == "*":
            return Namespaces(None, self.hidden_namespace)
        return Namespaces(frozenset((self.namespace, *self.namespaces)))

    @property
    def pod_policy(self) -> PodPolicy:
        """What podTemplates may set."""
        allowed = {power.value: getattr(self, power.value) for power in Power}
        return PodPolicy(**allowed, level=self.steps_pod_security)

    @property
    def step_defaults(self) -> PodDefaults:
        """What is in force for steps where nobody says otherwise, as far as both processes know it."""
        return PodDefaults(
            default_timeout=self.default_timeout,
            default_retry_delay=self.default_retry_delay,
            default_cpu=None if self.default_cpu is None else words.parse_cpu(self.default_cpu),
            default_memory=None if self.default_memory is None else words.parse_memory(self.default_memory),
            priority_class_prefix=self.priority_class_prefix,
            pod_policy=self.pod_policy,
            storage_access_mode=self.storage_access_mode,
            storage_class=self.storage_class,
            storage_fs_group=self.storage_fs_group,
        )

    @model_validator(mode="after")
    def _level_allows_the_powers(self) -> Self:
        for power in Power:
            if power in BEYOND[self.steps_pod_security] and getattr(self, power.value):
                raise ValueError(
                    f"{power.setting} is true, and {variable('steps_pod_security')} is "
                    f"{self.steps_pod_security}: Pods of that level may not have what it allows. "
                    f"Leave {power.setting} out, or set {variable('steps_pod_security')}=privileged."
                )
        return self
