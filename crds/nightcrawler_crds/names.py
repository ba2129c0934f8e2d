"""Names that both processes share, and the deterministic names of child objects.

A child's name makes its creation idempotent: it is computed from the execution's UID, the
exact step name and the attempt, so that a repeated creation (after a crash, or by a second
leader) finds the existing object.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final, NamedTuple

GROUP: Final = "nightcrawler.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

LABEL_WORKFLOW: Final = f"{GROUP}/workflow"
LABEL_EXECUTION: Final = f"{GROUP}/execution"
LABEL_EXECUTION_UID: Final = f"{GROUP}/execution-uid"

ANNOTATION_STEP: Final = f"{GROUP}/step"
ANNOTATION_ATTEMPT: Final = f"{GROUP}/attempt"
ANNOTATION_REVISION: Final = f"{GROUP}/revision"
ANNOTATION_ENVIRONMENT: Final = f"{GROUP}/environment"
ANNOTATION_CREATOR: Final = f"{GROUP}/creator"
ANNOTATION_CREATOR_ID: Final = f"{GROUP}/creator-id"
"""On a workflow: issuer and subject of the caller who created it over REST, where callers are identified."""
ANNOTATION_UPDATED_AT: Final = f"{GROUP}/updated-at"
ANNOTATION_HOLDER: Final = f"{GROUP}/holder"
ANNOTATION_CANCELLED_BY: Final = f"{GROUP}/cancelled-by"
"""On an execution that the schedule has cancelled: `SCHEDULE_EXECUTOR`, for the audit records."""
ANNOTATION_IDEMPOTENCY_KEY: Final = f"{GROUP}/idempotency-key"
"""The hash of the Idempotency-Key with which the facade created an object, of its caller and of the route."""
ANNOTATION_IDEMPOTENCY_BODY: Final = f"{GROUP}/idempotency-body"
"""The hash of the body of that request."""
ANNOTATION_DUTIES_DONE: Final = f"{GROUP}/duties-done"
"""On an ended execution: the duties that the facade has done for it, separated by commas."""

RESERVED_PREFIX: Final = "nightcrawler-"
"""Secrets and claims whose names begin so are the installation's; no step may name one."""

MANAGED_BY: Final = f"{GROUP}/operator"
"""`spec.managedBy` of our Jobs: the operator creates their Pods and writes their status."""
JOB_TRACKING: Final = "batch.kubernetes.io/job-tracking"
"""The finalizer with which the Job controller tracks Pods.

It removes it from the Pods of every Job that is deleted, even if another controller managed the Job.
"""

NOTIFICATIONS_SECRET: Final = "nightcrawler-notifications"  # noqa: S105 - a name, not a secret
"""The name of the Secrets with the targets of notifications, the only ones that the operator reads."""

SCHEDULE_EXECUTOR: Final = "schedule"
"""`spec.executor` of runs that the schedule started."""

STEP_CONTAINER: Final = "step"
"""The name of the container that runs a step; its result is the step's."""

GPU_RESOURCE: Final = "nvidia.com/gpu"
MIG_RESOURCE_PREFIX: Final = "nvidia.com/mig-"
GPU_PRODUCT_LABEL: Final = "nvidia.com/gpu.product"

MAX_WORKFLOW_NAME: Final = 40
MAX_EXECUTION_NAME: Final = 52
MAX_REVISION_NAME: Final = 51
DNS_LABEL_PATTERN: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

_DNS_LABEL: Final = re.compile(DNS_LABEL_PATTERN)
_READABLE: Final = 40
_HASH: Final = 10
_ID: Final = 32


class Resource(NamedTuple):
    """A resource type, with the names that the API server's paths use."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of a manifest of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version


WORKFLOWS: Final = Resource(GROUP, VERSION, "workflows", "Workflow")
EXECUTIONS: Final = Resource(GROUP, VERSION, "workflowexecutions", "WorkflowExecution")
ENVIRONMENTS: Final = Resource(GROUP, VERSION, "environments", "Environment", namespaced=False)
COMPUTE_PROFILES: Final = Resource(GROUP, VERSION, "computeprofiles", "ComputeProfile", namespaced=False)
OURS: Final = (WORKFLOWS, EXECUTIONS, ENVIRONMENTS, COMPUTE_PROFILES)
"""The custom resources that are read."""
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
VOLUME_CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
POD_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
EVENTS: Final = Resource("", "v1", "events", "Event")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
TOKEN_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")


def is_dns_label(text: str, longest: int) -> bool:
    """Whether a text can be the name of one of our objects, of at most so many characters."""
    return len(text) <= longest and _DNS_LABEL.fullmatch(text) is not None


def _digest(*parts: str) -> str:
    """Ten base-32 characters (50 bits) of the hash of the parts, which may be any text."""
    # Each part is prefixed with its length, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    raw = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(raw).decode().lower()[:_HASH]


def _slug(text: str) -> str:
    """The letters and digits of a text as a piece of a DNS label; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def child_name(execution: str, execution_uid: str, step: str, attempt: int) -> str:
    """The name of the Job of one attempt of a step: at most 51 characters, a DNS label.

    Only the hash makes it unique: step names that differ only in special characters
    have the same readable part.
    """
    readable = f"{execution[:24].rstrip('-')}-{_slug(step)}"[:_READABLE].rstrip("-")
    return f"{readable}-{_digest(execution_uid, step, str(attempt))}"


def volume_claim_name(execution: str, execution_uid: str) -> str:
    """The name of the claim of a run's volume: at most 60 characters. No step may name a claim like it."""
    return f"{RESERVED_PREFIX}{execution[:36].rstrip('-')}-{_digest(execution_uid, 'claim')}"


def event_name(execution: str, execution_uid: str, *what: str) -> str:
    """The name of the Event about something that happened to an execution."""
    return f"{execution}.{_digest(execution_uid, *what)}"


def notice_id(uid: str, *what: str) -> str:
    """The id of the message about something that happened to an execution or workflow, for its receivers.

    It is the same whoever sends it, and however often: receivers tell repetitions by it.
    """
    text = "".join(f"{len(part)}:{part}" for part in (uid, *what))
    raw = hashlib.sha256(text.encode()).digest()
    return "msg_" + base64.b32encode(raw).decode().lower()[:_ID]


def revision_name(workflow: str, workflow_uid: str, content: str) -> str:
    """The name of the ControllerRevision with this content of a workflow."""
    return f"{workflow[:_READABLE].rstrip('-')}-{_digest(workflow_uid, content)}"


def scheduled_run_name(workflow: str, workflow_uid: str, scheduled_time: str) -> str:
    """The name of the run of one scheduled time of a workflow: at most 51 characters, a DNS label."""
    return f"{workflow[:_READABLE].rstrip('-')}-{_digest(workflow_uid, scheduled_time)}"
