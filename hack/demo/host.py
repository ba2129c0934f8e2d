"""Operator and facade as processes on this host, for those who change them: `make dev`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from demo import services
from demo.cluster import BUILD, Kubectl
from demo.services import Installed, Service
from demo.terminal import DemoError

FOLDER: Final = BUILD / "demo"
OPERATOR: Final = Service("operator", FOLDER, 8081, "NIGHTCRAWLER_PROBE_PORT")
FACADE: Final = Service("facade", FOLDER, 8080, "NIGHTCRAWLER_API_PORT")
_SERVED_SECONDS: Final = 30.0


def install(kubectl: Kubectl) -> None:
    """Apply the custom resources, and wait until the API server serves them.

    Raises:
        DemoError: They cannot be applied, or are not served in time.
    """
    kubectl.show("apply", "-f", "crds/")
    kubectl.ask("wait", "--for=condition=Established", "--timeout=30s", "-f", "crds/")
    deadline = time.monotonic() + _SERVED_SECONDS
    while True:  # their schemas take a little longer
        try:
            kubectl.ask("explain", "environments.nightcrawler.dev")
            return
        except DemoError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def start(kubectl: Kubectl) -> Installed:
    """Start both, replacing those of an earlier run.

    Raises:
        DemoError: One of them is not ready in time.
    """
    both = {
        "NIGHTCRAWLER_KUBECONFIG": str(kubectl.kubeconfig),
        "NIGHTCRAWLER_NAMESPACE": "default",
        "NIGHTCRAWLER_KEEP": "archive",
    }
    probes = services.start(OPERATOR, [_program("nightcrawler-operator")], both)
    serving = {**both, "NIGHTCRAWLER_ARCHIVE_URL": f"sqlite:///{FOLDER / 'archive.db'}"}
    services.stop(FACADE)
    _migrate(serving)
    address = services.start(FACADE, [_program("nightcrawler-api")], serving)
    return Installed(
        address=address,
        metrics=f"{address}/metrics, {probes}/metrics",
        logs=", ".join(os.path.relpath(service.log) for service in (OPERATOR, FACADE)),
    )


def _migrate(settings: Mapping[str, str]) -> None:
    """Make the tables of the archive, or bring them up to date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [_program("nightcrawler-api"), "migrate"]
    ended = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise DemoError(f"The archive cannot be made: {ended.stderr.strip()}")


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
