"""Specs of workflows that are valid, made by hypothesis: any of the fields, in any of their forms."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

Spec = dict[str, Any]

_CPU: Final = st.sampled_from(["16 cores", 16, 0.5, "500m", "None", 0])
_MEMORY: Final = st.sampled_from(["64 GB", "1.5 GB", "64Gi", 1 << 30, "None"])
_GPU: Final = st.sampled_from(["8x NVIDIA A100", "NVIDIA A100", 8, "None", 0])
_SPACE: Final = st.sampled_from(["500 GB", 200_000_000_000, "None"])
_TIMES: Final = st.sampled_from(["2 hours", "1h30m", 90, 0.5, "7 days", "30 seconds"])
_TEXT: Final = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)
_NAMES: Final = st.sampled_from(["Prepare", "train it", "Größe 🚀", "a/b~c", "null", "0"])
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_WHETHER: Final = st.booleans()
_POD_TEMPLATES: Final = st.sampled_from(
    [
        {},
        {"metadata": {"labels": {"team": "vision"}}},
        {"spec": {"containers": [{"name": "step", "tty": True}], "hostname": "training"}},
        {"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}], "volumes": []}},
    ]
)
_SCHEDULES: Final = st.fixed_dictionaries(
    {"type": st.just("cron"), "cron": st.sampled_from(["0 0 * * 1", "@daily", "*/5 * * * *"])},
    optional={
        "description": _TEXT,
        "skipOnFailure": _WHETHER,
        "catchUp": _WHETHER,
        "timeZone": st.just("Europe/Berlin"),
        "startingDeadline": st.just("10 minutes"),
        "concurrencyPolicy": st.sampled_from(["Forbid", "Replace", "Allow"]),
        "start": st.just("2025-07-01T00:00:00Z"),
    },
) | st.fixed_dictionaries({"type": st.just("interval"), "interval": st.just("6 hours")})


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Spec]:
    return st.fixed_dictionaries({}, optional=fields)


_CONFIGS: Final = _optional(
    timeout=_TIMES,
    retries=st.integers(0, 5),
    retryDelay=_TIMES,
    resources=_optional(cpu=_CPU, memory=_MEMORY, gpu=_GPU),
    storage=_optional(ephemeralStorage=_SPACE),
    notifications=_optional(email=_WHETHER, slack=_WHETHER, webhook=_WHETHER),
    notificationEvents=st.lists(st.sampled_from(["start", "complete", "fail"]), unique=True),
    schedule=_SCHEDULES,
    security=_optional(
        visibility=st.sampled_from(["Public", "Team", "Private"]),
        auditLogging=_WHETHER,
        permissions=st.lists(
            st.fixed_dictionaries({"role": st.just("Viewer"), "access": st.just("View Only")}), max_size=1
        ),
    ),
)
_STEPS: Final = st.fixed_dictionaries(
    {"name": _NAMES, "image": st.just("busybox:1")},
    optional={
        "command": st.lists(_TEXT, min_size=1, max_size=2),
        "args": st.lists(_TEXT, max_size=2),
        "workingDir": st.just("/srv"),
        "env": st.lists(st.fixed_dictionaries({"name": st.just("MODE"), "value": _TEXT}), max_size=1),
        "envFrom": st.just([{"configMapRef": {"name": "settings"}}]),
        "resources": _optional(cpu=_CPU, memory=_MEMORY, gpu=_GPU, ephemeralStorage=_SPACE),
        "timeout": _TIMES,
        "retries": st.integers(0, 5),
        "retryDelay": _TIMES,
        "podTemplate": _POD_TEMPLATES,
    },
)
_PARAMETERS: Final = st.fixed_dictionaries(
    {"name": st.sampled_from(["epochs", "path", "_x"])}, optional={"default": _JSON, "description": _TEXT}
)


def _named_once(items: st.SearchStrategy[Spec], most: int) -> st.SearchStrategy[list[Spec]]:
    return st.lists(items, max_size=most, unique_by=lambda item: str(item["name"]))


def specs() -> st.SearchStrategy[Spec]:
    """Specs as the API server keeps them; of steps that need neither each other nor a compute profile."""
    return _optional(
        displayName=_TEXT.filter(str.strip),
        description=_TEXT,
        priority=st.sampled_from(["low", "medium", "high", "critical"]),
        tags=st.lists(_TEXT.filter(bool), max_size=2),
        environments=st.lists(st.sampled_from(["production", "staging"]), unique=True),
        environmentStrategy=st.sampled_from(["start", "time", "cost"]),
        traceLevel=st.sampled_from(["min", "med", "debug"]),
        options=_optional(enableNotifications=_WHETHER, enableLogging=_WHETHER, enableRetry=_WHETHER),
        parameters=_named_once(_PARAMETERS, 2),
        order=st.sampled_from(["Sequence", "Graph"]),
        steps=_named_once(_STEPS, 3),
        suspend=_WHETHER,
        maxRunning=st.integers(1, 9),
        history=_optional(completed=st.integers(0, 9), failed=st.integers(0, 9)),
        config=_CONFIGS,
    )
