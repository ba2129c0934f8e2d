"""Answers about environments and compute profiles as `/docs` shows them."""

from __future__ import annotations

from typing import Any, Final

_GPUS: Final = {
    "model": "NVIDIA-A100-SXM4-80GB",
    "resource": "nvidia.com/gpu",
    "capacity": 24,
    "free": 5,
    "largestFree": 4,
}
ROW: Final[dict[str, Any]] = {
    "id": "dgx",
    "name": "DGX Cloud California",
    "aliases": ["dgxCloudCalifornia", "production"],
    "default": False,
    "status": "ready",
    "message": "steps can start here: 3 nodes ready",
    "nodes": {"scaling": "Fixed", "total": 3, "ready": 3},
    "running": 4,
    "waiting": 1,
    "maxRunning": 8,
    "capacity": {"cpu": 384.0, "memoryBytes": 3298534883328, "gpus": 24},
    "free": {"cpu": 96.5, "memoryBytes": 824633720832, "gpus": 5},
    "gpus": [_GPUS],
    "prices": {"currency": "USD", "cpuHour": 0.04, "gpuHour": 2.5, "gpuHourByModel": {"A100": 2.5}},
}
LIST: Final[dict[str, Any]] = {"environments": [ROW], "total": 1, "page": 1, "pageSize": 10}
DETAIL: Final[dict[str, Any]] = {
    **ROW,
    "createdAt": "2025-06-15T10:30:00Z",
    "speed": 4,
    "largestFreeNode": {"name": "dgx-2", "free": {"cpu": 64.0, "memoryBytes": 549755813888, "gpus": 4}},
    "nodeSelector": {"pool": "dgx"},
    "maintenance": [
        {"start": "2025-07-12T20:00:00Z", "end": "2025-07-13T06:00:00Z", "description": "new disks"}
    ],
}

PROFILE: Final[dict[str, Any]] = {
    "id": "gpu-optimized",
    "name": "GPU-Optimized",
    "resources": {"cpu": 8, "memory": "64 GB", "gpu": 1},
    "sharedMemory": "16 GB",
}
PROFILES: Final[dict[str, Any]] = {"computeProfiles": [PROFILE], "total": 1, "page": 1, "pageSize": 10}
PROFILE_DETAIL: Final[dict[str, Any]] = {
    **PROFILE,
    "createdAt": "2025-06-15T10:30:00Z",
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}
