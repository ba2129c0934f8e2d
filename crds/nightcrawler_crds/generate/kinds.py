"""The CustomResourceDefinitions: names, columns and schema of each kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.generate.structural import Json, structural
from nightcrawler_crds.v1alpha1 import (
    ComputeProfileSpec,
    ComputeProfileStatus,
    EnvironmentSpec,
    EnvironmentStatus,
    WorkflowExecutionSpec,
    WorkflowExecutionStatus,
    WorkflowSpec,
    WorkflowStatus,
)
from nightcrawler_crds.v1alpha1.base import ApiModel

CATEGORY: Final = "nightcrawler"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 shows it only with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """A custom resource: its two models, and the rest of its definition."""

    resource: names.Resource
    short_names: Sequence[str]
    description: str
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: Sequence[Column]
    max_name: int | None = None
    selectable: Sequence[str] = ()


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "When it was created.", "date")

KINDS: Final = (
    Kind(
        names.WORKFLOWS,
        ("wf", "ncwf"),  # Argo has wf, too
        "A Workflow defines what to run: steps, resources, environments, schedule. "
        "Applying one runs nothing; a WorkflowExecution is one run of it.",
        WorkflowSpec,
        WorkflowStatus,
        (
            Column("Accepted", _condition("Accepted", "status"), "Whether it can run."),
            # One of the two is set, and a union shows the first that exists.
            Column("Schedule", ".spec.config.schedule['cron','interval']", "When runs start automatically."),
            # Text, because kubectl shows dates as ages, and the future has none.
            Column("Next", ".status.schedule.nextScheduledTime", "The next scheduled time."),
            Column("Last", ".status.schedule.lastStarted", "The last scheduled time that was run."),
            Column("Suspended", ".spec.suspend", "Whether the schedule is suspended.", "boolean"),
            Column("Active", ".status.active", "Number of active executions.", "integer"),
            Column("Last run", ".status.lastRunTime", "When the latest execution was created.", "date"),
            Column("Last phase", ".status.lastPhase", "Phase of the latest execution."),
            _AGE,
            Column("Message", _condition("Accepted", "message"), "Why it cannot run.", priority=1),
        ),
        max_name=names.MAX_WORKFLOW_NAME,
    ),
    Kind(
        names.EXECUTIONS,
        ("wfe", "ncwfe"),
        "A WorkflowExecution is one run of a Workflow. Creating one runs it; it cannot be changed, "
        "only cancelled.",
        WorkflowExecutionSpec,
        WorkflowExecutionStatus,
        (
            Column("Workflow", ".spec.workflowRef.name", "Workflow."),
            Column("Phase", ".status.phase", "Phase of the run."),
            Column("Progress", ".status.progress", "Completed steps, of the total."),
            Column("Environment", ".status.environment", "Environment that it runs in."),
            Column("Waiting", ".status.waitingReason", "Why it waits, in one word.", priority=1),
            Column("Cost", ".status.cost.amount", "What it has cost.", "number", priority=1),
            _AGE,
            # Last, because it is a whole sentence.
            Column("Message", ".status.message", "Why it waits, or how it finished."),
        ),
        max_name=names.MAX_EXECUTION_NAME,
        selectable=(".status.phase", ".status.settled"),
    ),
    Kind(
        names.ENVIRONMENTS,
        ("wfenv",),
        "An Environment is a set of nodes to run on, which workflows and executions select by name.",
        EnvironmentSpec,
        EnvironmentStatus,
        (
            Column("Ready", _condition("Ready", "status"), "Whether steps can start in it."),
            Column("Nodes", ".status.nodes", "Number of its nodes.", "integer"),
            Column("Running", ".status.running", "Runs that are under way in it.", "integer"),
            Column("Waiting", ".status.waiting", "Runs placed in it that have not started.", "integer"),
            Column("Free CPU", ".status.free.cpu", "CPU that no Pod requests."),
            Column("Free memory", ".status.free.memory", "Memory that no Pod requests."),
            # A union shows the first that exists: those of other vendors are in the status.
            Column(
                "Free GPUs", r".status.free['nvidia\.com/gpu','amd\.com/gpu']", "GPUs that no Pod requests."
            ),
            Column(
                "Default", ".spec.default", "Whether runs that name no environment use this one.", "boolean"
            ),
            _AGE,
            Column("Display name", ".spec.displayName", "Display name.", priority=1),
            Column("Aliases", ".spec.aliases", "Other names.", priority=1),
            Column("Message", _condition("Ready", "message"), "Why it is ready or not.", priority=1),
        ),
    ),
    Kind(
        names.COMPUTE_PROFILES,
        ("wfprofile",),
        "A ComputeProfile is a preset of resources that workflows refer to in config.computeProfile.",
        ComputeProfileSpec,
        ComputeProfileStatus,
        (
            Column("Display name", ".spec.displayName", "Name that workflows refer to."),
            Column("CPU", ".spec.resources.cpu", "CPU of a step."),
            Column("Memory", ".spec.resources.memory", "Memory of a step."),
            Column("GPU", ".spec.resources.gpu", "GPUs of a step."),
            _AGE,
        ),
    ),
)


def definition(kind: Kind) -> Json:
    """The CustomResourceDefinition of a kind."""
    resource = kind.resource
    version: Json = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    version["schema"] = {"openAPIV3Schema": object_schema(kind)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [*kind.short_names],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _column(column: Column) -> Json:
    printed: Json = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        printed["priority"] = column.priority
    return {**printed, "description": column.description}


def object_schema(kind: Kind) -> Json:
    """The schema of a whole object of the kind, `spec` and `status` among its properties."""
    metadata: Json = {"type": "object"}
    schema: Json = {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": metadata,
            "spec": structural(kind.spec),
            "status": structural(kind.status),
        },
    }
    if kind.max_name is not None:
        # Declared here, so that the rules can name it as their field.
        metadata["properties"] = {"name": {"type": "string"}}
        schema["x-kubernetes-validations"] = _name_rules(kind.resource.kind, kind.max_name)
    return schema


def _name_rules(kind: str, longest: int) -> list[Json]:
    """Rules for names, because names of Jobs and revisions begin with them, and labels contain them."""
    return [
        {
            "rule": f"size(self.metadata.name) <= {longest}",
            "message": f"the name of a {kind} has at most {longest} characters",
            "fieldPath": ".metadata.name",
        },
        {
            "rule": f"self.metadata.name.matches('{names.DNS_LABEL_PATTERN}')",
            "message": f"the name of a {kind} is lower-case letters, digits and '-', a letter first",
            "fieldPath": ".metadata.name",
        },
    ]
