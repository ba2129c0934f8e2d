"""Version v1alpha1 of the custom resources: one module per kind, as pydantic models."""

from nightcrawler_crds.v1alpha1.base import Condition, EnvVar
from nightcrawler_crds.v1alpha1.config import (
    Notifications,
    Resources,
    Schedule,
    Security,
    StepResources,
    Storage,
    WorkflowConfig,
)
from nightcrawler_crds.v1alpha1.environment import EnvironmentSpec, EnvironmentStatus, GpuModel
from nightcrawler_crds.v1alpha1.execution import (
    TERMINAL_STEP_PHASES,
    DutyName,
    Phase,
    StepPhase,
    StepStatus,
    Trigger,
    WorkflowExecutionSpec,
    WorkflowExecutionStatus,
    WorkflowReference,
)
from nightcrawler_crds.v1alpha1.notifications import CHANNELS, DEFAULT_EVENTS, NOTICE_EVENTS, NoticeStatus
from nightcrawler_crds.v1alpha1.profile import ComputeProfileSpec, ComputeProfileStatus
from nightcrawler_crds.v1alpha1.workflow import (
    MAX_PARAMETERS_BYTES,
    MAX_SPEC_BYTES,
    MAX_STEPS,
    History,
    Options,
    Order,
    Parameter,
    Step,
    WorkflowSpec,
    WorkflowStatus,
)

__all__ = [
    "CHANNELS",
    "DEFAULT_EVENTS",
    "MAX_PARAMETERS_BYTES",
    "MAX_SPEC_BYTES",
    "MAX_STEPS",
    "NOTICE_EVENTS",
    "TERMINAL_STEP_PHASES",
    "ComputeProfileSpec",
    "ComputeProfileStatus",
    "Condition",
    "DutyName",
    "EnvVar",
    "EnvironmentSpec",
    "EnvironmentStatus",
    "GpuModel",
    "History",
    "NoticeStatus",
    "Notifications",
    "Options",
    "Order",
    "Parameter",
    "Phase",
    "Resources",
    "Schedule",
    "Security",
    "Step",
    "StepPhase",
    "StepResources",
    "StepStatus",
    "Storage",
    "Trigger",
    "WorkflowConfig",
    "WorkflowExecutionSpec",
    "WorkflowExecutionStatus",
    "WorkflowReference",
    "WorkflowSpec",
    "WorkflowStatus",
]
