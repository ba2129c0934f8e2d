"""`make demo` from where operator and facade are installed, which the tests here share with it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from demo import release, walkthrough
from localcluster import binaries
from tests.support.polling import eventually
from tests.support.real_node import Installation

pytestmark = pytest.mark.real_node

ROOT = Path(__file__).parents[2]
_ENDLESS = " && kubectl get wfe -w"


def output_of(here: Installation, capsys: pytest.CaptureFixture[str]) -> str:
    walkthrough.show(here.demo, here.installed)
    return capsys.readouterr().out


def is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False


def test_the_demo_runs_a_workflow_each_way_and_what_it_suggests_works(
    here: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    out = output_of(here, capsys)
    assert "the run is Completed: all 5 steps completed" in out
    assert re.search(r"^accuracy on images never seen: \d+\.\d%$", out, re.MULTILINE), "the log of a step"
    assert re.search(r"^Compare took ", out, re.MULTILINE)
    assert re.search(r"^  \S+ was started by System for \d{4}-", out, re.MULTILINE)
    why = r"^runs in local: it costs least there, about 0\.\d+ USD \(gpu: .*\); it has cost 0\.\d{6} USD$"
    assert re.search(why, out, re.MULTILINE)
    why = r"^runs in gpu: it starts there first, at once, and among equals it is quickest \(local: at once\)"
    assert re.search(why, out, re.MULTILINE)
    assert re.search(r"^  local  would start after 00:00:00, take \d\d:", out, re.MULTILINE)
    assert f"{here.installed.address}/docs" in out

    (suggested,) = re.findall(r"^Then try:\n\n(.*?)\n\n", out, re.MULTILINE | re.DOTALL)
    commands = [line.strip().removesuffix(_ENDLESS).partition(" | ")[0] for line in suggested.splitlines()]
    metrics = re.findall(r"kubectl get --raw \S+", out)
    before = [f"export KUBECONFIG={here.cluster.kubeconfig} PATH={binaries.kube()}:$PATH no_proxy='*'"]
    script = "\n".join(["set -eo pipefail", *before, *commands, *metrics])
    ended = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "nightcrawler_operator_leader" in ended.stdout
    (gpus,) = (command.removeprefix("kubectl ") for command in commands if "get pods" in command)
    eventually(lambda: here.kubectl(*gpus.split()), until=lambda pods: 'nvidia.com/gpu: "8"' in pods)


def test_the_demo_run_again_takes_new_sources_and_keeps_its_address(
    here: Installation, tmp_path: Path
) -> None:
    def pods() -> set[str]:
        selector = "--selector=app.kubernetes.io/component in (operator, api)"
        asked = ("get", "pods", f"--namespace={release.NAMESPACE}", selector, "--output=name")
        return set(here.kubectl(*asked).split())

    before = pods()
    # Nothing in this folder says that the Pods have this image.
    release.install(here.demo, here.image, "--reuse-values", folder=tmp_path)
    eventually(lambda: len(pods()) == len(before), what="the end of the Pods from before", within=120)
    assert not pods() & before
    eventually(lambda: is_ready(here.http), what="the same address", within=60)

    now = pods()
    release.install(here.demo, here.image, "--reuse-values", folder=tmp_path)
    assert pods() == now, "unchanged sources change nothing"
