"""Requests made from our own OpenAPI document, good ones and bad ones, by schemathesis.

It runs as a program of its own against a real facade. What it finds is either a fault of the facade or
something that the document says and that is not so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import schemathesishooks
from tests.support.builders import an_environment
from tests.support.environments import OBSERVED
from tests.support.facade import Served, environments
from tests.support.resources import path_of

_PROGRAM = Path(sys.executable).parent / "schemathesis"
_SEED = 20251126
_EXAMPLES = 10
_WITHIN = 600
"""Seconds, of a machine that does other things too; alone it takes a fraction."""
_LEFT_OUT = "ignored_auth,object_level_authorization"
"""Checks that are about authentication, which is off."""

_ENDLESS = "/api/events"
"""A stream has no end to wait for: tests/integration/test_api_events.py."""


@pytest.mark.timeout(_WITHIN + 120)
def test_the_facade_conforms_to_its_openapi_document(served: Served, tmp_path: Path) -> None:
    served.create(steps=[{"name": "a", "image": "busybox:1"}])
    # It takes any name, so that requests with environments of any name are good ones.
    lab = an_environment(
        schemathesishooks.KNOWN["environmentId"], default=True, accept_any_name=True, prices={"gpuHour": 2}
    )
    with environments(served, lab):
        served.cluster.api.merge(f"{path_of('Environment')}/{lab.name}/status", {"status": OBSERVED})
        ended = asked_by_schemathesis(served, tmp_path)
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr
    cases = re.search(r"(\d+) generated", ended.stdout)
    assert cases, ended.stdout
    assert int(cases[1]) > 500, "so few requests would prove little"


def asked_by_schemathesis(served: Served, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program, after it has made all its requests."""
    return subprocess.run(
        [
            str(_PROGRAM),
            "run",
            f"{served.http.base_url}/openapi.json",
            f"--seed={_SEED}",
            f"--max-examples={_EXAMPLES}",
            "--phases=examples,coverage,fuzzing",
            "--checks=all",
            f"--exclude-path={_ENDLESS}",
            f"--exclude-checks={_LEFT_OUT}",
            "--continue-on-failure",
            "--generation-database=none",
            "--no-color",
        ],
        cwd=folder,
        env={
            **os.environ,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "SCHEMATHESIS_HOOKS": schemathesishooks.__name__,
        },
        capture_output=True,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
