"""What runs can be made to keep and tell: what each feature takes of operator, facade and workflows; pure.

`Around` is what has to be there for them: receivers, databases, folders.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tests.bench.engines import NAMESPACE, Settings
from tests.bench.engines.nightcrawler import workflow
from tests.bench.shapes import Shape

Json = dict[str, Any]

Feature = Literal["notifications", "traces", "archive", "logs", "usage", "masked"]
ALL: Final[tuple[Feature, ...]] = ("notifications", "traces", "archive", "logs", "usage", "masked")

SECRET: Final = "bench-password"
"""The Secret from which steps take a variable where its values are masked."""
MESSAGES: Final = ("start", "complete")
"""The events that are reported of each run which goes well, by each of `CHANNELS`."""
CHANNELS: Final = ("webhook", "email")
_EVENTS: Final = (*MESSAGES, "fail", "cancel", "retry")
_USED: Final[Json] = {"kwok.nightcrawler.dev/cpu": "250m", "kwok.nightcrawler.dev/memory": "64Mi"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Where messages, traces, rows and logs go; empty where the feature that needs it is never on.

    Attributes:
        targets: A folder with the targets of messages, as a Secret is mounted.
        authority: The certificate by which their receivers are trusted.
        collector: The address of an OTLP collector.
        archive_url: A database with the tables in it.
        log_url: The log store.
    """

    targets: Path = Path()
    authority: Path = Path()
    collector: str = ""
    archive_url: str = ""
    log_url: str = ""


def settings_of(on: Collection[Feature], around: Around) -> tuple[Settings, Settings]:
    """The settings of the operator, and those of the facade, with these features and no others."""
    kept = [name for name in ("archive", "logs") if name in on]
    both: dict[str, object] = {"namespace": NAMESPACE, "usage": str("usage" in on).lower()}
    operator, facade = dict(both), dict(both)
    if kept:
        operator["keep"] = facade["keep"] = ",".join(kept)
    if "archive" in on:
        facade["archive_url"] = around.archive_url
    if "logs" in on:
        facade["log_url"] = around.log_url
    if "masked" in on:
        operator["mask_secrets"] = facade["mask_secrets"] = "true"
    if "notifications" in on:
        operator |= {
            "notifications_folder": around.targets,
            "notifications_ca_file": around.authority,
            "notifications_allow_internal": "true",
        }
    if "traces" in on:
        operator["otlp_endpoint"] = around.collector
    return operator, facade


def manifest(name: str, shape: Shape, on: Collection[Feature]) -> Json:
    """A workflow that uses these features; with none, that of the other rows."""
    body = workflow(name, shape)
    spec, config = body["spec"], dict[str, Any]()
    if "notifications" in on:
        config |= {"notifications": dict.fromkeys(CHANNELS, True), "notificationEvents": [*_EVENTS]}
    if "traces" in on:
        spec["traceLevel"] = "med"
    if "masked" in on:
        config["security"] = {"secureSecrets": True}
    if config:
        spec["config"] = config
    for step in spec["steps"]:
        marks = step["podTemplate"]["metadata"]["annotations"]
        if "masked" in on:
            password = {"secretKeyRef": {"name": SECRET, "key": "password"}}
            step["env"] = [{"name": "PASSWORD", "valueFrom": password}]
        if "usage" in on:
            step["resources"] = {"cpu": "500m", "memory": "128Mi"}
            step["podTemplate"] = {"metadata": {"annotations": marks | _USED}}
    return body
