"""Requests and responses of workflows.

The models of request bodies are documentation only: bodies are validated as specs of the custom resource
(`drafts`), so that REST and manifests have the same rules.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from nightcrawler_api.openapi import DocumentedAs
from nightcrawler_api.state.index import WorkflowStatus
from nightcrawler_api.state.statuses import StepStatus
from nightcrawler_crds import names
from nightcrawler_crds.settings import DNS_LABEL
from nightcrawler_crds.v1alpha1 import MAX_STEPS, History, Options, Order, Parameter, Step, WorkflowConfig
from nightcrawler_crds.v1alpha1.base import MaxRunning

_VISIBLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$"
"""No control characters, and not only spaces."""
_LINES: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_NAMESPACE: Final = rf"^{DNS_LABEL}$"
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
_EnvironmentName = Annotated[str, Field(min_length=1, max_length=253)]
_Environments = Annotated[list[_EnvironmentName], Field(max_length=64)]
_Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128, pattern=_ONE_LINE)]], Field(max_length=64)
]

ONLY_IN_ANSWERS: Final = (
    "id",
    "status",
    "creator",
    "createdAt",
    "updatedAt",
    "lastRun",
    "nextRun",
    "version",
    "conditions",
)

Priority = Literal["low", "medium", "high", "critical"]


def _tell_ignored(schema: dict[str, Any]) -> None:
    """Add the fields that a body may have and that mean nothing in it."""
    ignored = {"description": "Ignored: only answers say it."}
    schema["properties"] |= dict.fromkeys(ONLY_IN_ANSWERS, ignored)


class WorkflowUpdate(BaseModel):
    """Changes to a workflow: objects are merged, lists replaced, null removes; other fields stay.

    Read-only fields (id, status, creator and the like) are ignored, so that a response can be sent back.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", json_schema_extra=_tell_ignored)

    # A factory, so that the document shows no default, which would be invalid.
    name: str = Field(
        default_factory=str,
        min_length=1,
        max_length=256,
        pattern=_VISIBLE,
        description="Name for people; not null.",
    )
    description: Annotated[str, Field(max_length=4096, pattern=_LINES)] | None = Field(
        None, description="What it does, for people."
    )
    priority: Priority | None = Field(None, description="medium if not set.")
    environments: dict[_EnvironmentName, bool | None] | _Environments | None = Field(
        None,
        description="Where it may run: a list, or names with true (may) and false or null (may not).",
    )
    environment_strategy: Literal["start", "time", "cost"] | None = Field(
        None,
        description="How an environment is chosen: where the run starts first, ends first, or costs least. "
        "Not set: the first one.",
    )
    trace_level: Literal["min", "med", "debug"] | None = Field(
        None, description="How much the traces of its runs say; not set: nothing is recorded for them."
    )
    options: Options | None = None
    tags: _Tags | None = Field(None, description="Tags.")
    parameters: Annotated[list[Parameter], Field(max_length=128)] | None = Field(
        None, description="Parameters of a run; if none are declared, any are accepted."
    )
    order: Order | None = Field(
        None, description="Sequence, or Graph by dependsOn; not set: Graph if any step has dependsOn."
    )
    steps: Annotated[list[Step], Field(max_length=MAX_STEPS)] | None = Field(
        None, description="The containers to run, as in a manifest."
    )
    suspend: bool | None = Field(None, description="Whether the schedule is suspended.")
    max_running: MaxRunning | None = Field(
        None, description="How many runs may be under way at the same time; further ones wait in line."
    )
    history: History | None = Field(None, description="How many ended executions are kept.")
    config: WorkflowConfig | None = None


class WorkflowCreate(WorkflowUpdate):
    """A new workflow. Without steps it takes those of the installation's template, if there is one."""

    name: str = Field(min_length=1, max_length=256, pattern=_VISIBLE, description="Name for people.")
    namespace: Annotated[str, Field(min_length=1, max_length=63, pattern=_NAMESPACE)] | None = Field(
        None,
        description="Where to create it, if several namespaces are served. Not set: where the caller may.",
    )


class WorkflowClone(BaseModel):
    """The name for people of a copy; optional, and so is the body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None = Field(
        None, min_length=1, max_length=256, pattern=_VISIBLE, description='Not set: "Copy of" the other.'
    )
    namespace: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        pattern=_NAMESPACE,
        description="Where to create it. Not set: beside the other, or where the caller may.",
    )


def _as_spec(schema: dict[str, Any]) -> None:
    """Name the fields of a body as the spec of a manifest does."""
    fields = schema["properties"]
    schema["properties"] = {"displayName": fields.pop("name"), **fields}


class ManifestSpec(WorkflowUpdate):
    """The spec of a workflow's manifest."""

    model_config = ConfigDict(json_schema_extra=_as_spec)


class ManifestMetadata(BaseModel):
    """The metadata of a manifest; of all fields only the name is kept."""

    name: (
        Annotated[str, Field(pattern=names.DNS_LABEL_PATTERN, max_length=names.MAX_WORKFLOW_NAME)] | None
    ) = Field(None, description="The id of the workflow; not set: one that is made up.")


class WorkflowManifest(BaseModel):
    """A manifest, as export writes it and kubectl applies it."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["metadata"],
                    "properties": {
                        "metadata": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": {"type": "string"}},
                        }
                    },
                },
                {"properties": {"spec": {"required": ["displayName"]}}},
            ]
        },
    )

    api_version: Literal["nightcrawler.dev/v1alpha1"]
    kind: Literal["Workflow"]
    metadata: ManifestMetadata | None = None
    spec: ManifestSpec
    status: Any = Field(None, description="Ignored: the cluster's own.")


CreateBody = Annotated[dict[str, Any], DocumentedAs(WorkflowCreate)]
UpdateBody = Annotated[dict[str, Any], DocumentedAs(WorkflowUpdate)]
ImportBody = Annotated[dict[str, Any], DocumentedAs(WorkflowManifest)]


class WorkflowRow(TypedDict):
    """A workflow in the list."""

    id: str
    name: str
    description: str
    status: WorkflowStatus
    priority: str
    lastRun: NotRequired[str]
    nextRun: NotRequired[str]


class WorkflowList(TypedDict):
    """A page of workflows; `total` counts all that match, `nextCursor` is there if others follow."""

    workflows: list[WorkflowRow]
    total: int
    page: int
    pageSize: int
    nextCursor: NotRequired[str]


class WorkflowStep(TypedDict):
    """A step: its status in the latest execution, and its definition as in a manifest."""

    name: str
    status: StepStatus
    duration: str


class ShownCondition(TypedDict):
    """A condition of the Workflow: whether it can run, and what has no effect yet."""

    type: str
    status: str
    reason: str
    message: str


class WorkflowDetail(TypedDict):
    """A workflow in full; optional fields are shown if set. `version` is for If-Match."""

    id: str
    name: str
    description: str
    status: WorkflowStatus
    priority: str
    creator: str
    createdAt: str
    updatedAt: NotRequired[str]
    lastRun: NotRequired[str]
    nextRun: NotRequired[str]
    environments: list[str]
    tags: list[str]
    steps: list[WorkflowStep]
    config: Annotated[dict[str, Any], DocumentedAs(WorkflowConfig)]
    environmentStrategy: NotRequired[str]
    traceLevel: NotRequired[str]
    options: NotRequired[Annotated[dict[str, Any], DocumentedAs(Options)]]
    parameters: NotRequired[list[dict[str, Any]]]
    order: NotRequired[Order]
    suspend: NotRequired[bool]
    maxRunning: NotRequired[int]
    history: NotRequired[Annotated[dict[str, Any], DocumentedAs(History)]]
    version: str
    conditions: list[ShownCondition]


class WorkflowCreated(TypedDict):
    """A workflow that has just been created; `warnings` are sentences about what will not work."""

    id: str
    name: str
    description: str
    status: WorkflowStatus
    priority: str
    creator: str
    createdAt: str
    version: str
    warnings: NotRequired[list[str]]


class WorkflowUpdated(TypedDict):
    """A workflow that has just been changed; `warnings` are sentences about what will not work."""

    id: str
    name: str
    description: str
    status: WorkflowStatus
    priority: str
    updatedAt: str
    version: str
    warnings: NotRequired[list[str]]


class Deleted(TypedDict):
    """The response to a deletion."""

    success: bool
    message: str
