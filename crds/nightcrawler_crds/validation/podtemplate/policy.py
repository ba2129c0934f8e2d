"""What an installation may allow in podTemplates beyond the default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

Level = Literal["privileged", "baseline", "restricted"]
"""A level of Kubernetes' Pod Security Standards; privileged demands nothing."""


class Power(Enum):
    """Something that a podTemplate may do only if the installation allows it.

    Each is a field of `PodPolicy`, and a setting of that name in operator and facade.
    """

    SERVICE_ACCOUNT = "allow_service_account"
    HOST_NAMESPACES = "allow_host_namespaces"
    HOST_PORTS = "allow_host_ports"
    HOST_PATH = "allow_host_path"
    HOST_USERS = "allow_host_users"
    PRIVILEGED = "allow_privileged"
    DIRECT_VOLUMES = "allow_direct_volumes"
    NODE_NAME = "allow_node_name"
    SCHEDULER_NAME = "allow_scheduler_name"
    PRIORITY_CLASS = "allow_priority_class"

    @property
    def setting(self) -> str:
        """The environment variable that allows it."""
        return f"NIGHTCRAWLER_{self.value.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPolicy:
    """The powers that an installation allows, none by default, and the level that Pods must pass."""

    allow_service_account: bool = False
    allow_host_namespaces: bool = False
    allow_host_ports: bool = False
    allow_host_path: bool = False
    allow_host_users: bool = False
    allow_privileged: bool = False
    allow_direct_volumes: bool = False
    allow_node_name: bool = False
    allow_scheduler_name: bool = False
    allow_priority_class: bool = False
    level: Level = "privileged"
    """What the Pods of steps have to pass besides."""

    def allows(self, power: Power) -> bool:
        """Whether the installation allows it."""
        allowed: bool = getattr(self, power.value)
        return allowed


ALL_POWERS: Final = PodPolicy(**{power.value: True for power in Power})  # type: ignore[arg-type]
"""What an administrator may do who writes a podTemplate for all steps of an Environment."""
