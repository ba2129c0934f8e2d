"""The steps of the demo, in order."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from demo import cluster, runs, services
from demo.cluster import BUILD, KUBECONFIG, Kubectl, Places
from demo.services import Service
from demo.terminal import DemoError, heading, say, shown

FOLDER: Final = BUILD / "demo"
OPERATOR: Final = Service("operator", "nightcrawler-operator", FOLDER, 8081, "NIGHTCRAWLER_PROBE_PORT")
FACADE: Final = Service("facade", "nightcrawler-api", FOLDER, 8080, "NIGHTCRAWLER_API_PORT")
SERVICES: Final = (FACADE, OPERATOR)

_BODY: Final = "examples/rest/prime-search.json"


def up() -> None:
    """The whole demo; everything it has started keeps running.

    Raises:
        DemoError: Something failed; the text says what to do.
    """
    cluster.need_curl()
    heading("1. A Kubernetes cluster")
    kubectl = cluster.bring_up()
    heading("2. Custom resources and Environments")
    places = cluster.install(kubectl)
    if not places.real:
        say("\nThere is no real node (that needs root on Linux): Pods are simulated and have no logs.")
    heading("3. Operator and facade")
    settings = {"NIGHTCRAWLER_KUBECONFIG": str(KUBECONFIG)}
    probes = services.start(OPERATOR, settings)
    address = services.start(FACADE, {**settings, "NIGHTCRAWLER_NAMESPACE": "default"})
    heading("4. A workflow as a manifest")
    by_manifest(kubectl, "image-classification", logs=places.real)
    heading("5. A workflow over REST")
    over_rest(address, logs=places.real)
    heading("Everything keeps running")
    say(_farewell(address, probes, places))


def down() -> None:
    """Stop operator and facade; the cluster is stopped by its own command."""
    for service in SERVICES:
        if services.stop(service):
            say(f"{service.name} has stopped")


def by_manifest(kubectl: Kubectl, example: str, *, logs: bool) -> None:
    """Apply a Workflow, create an execution of it, and print its progress and result."""
    kubectl.show("apply", "-f", f"examples/{example}.yaml")
    created = kubectl.show("create", "-f", f"examples/run/{example}.yaml")
    name = created.split()[0].partition("/")[2]
    say("\nProgress, from `kubectl get wfe --watch` (a step shorter than two seconds is reported once):")
    run = runs.follow(runs.watched(kubectl.program, str(KUBECONFIG), name))
    execution = json.loads(kubectl.ask("get", "wfe", name, "-o", "json"))
    _must_complete(run)
    if logs:
        for step in _in_order(execution):
            say(f"\n{step['name']}:")
            kubectl.show("logs", f"job/{step['jobName']}")
    say()
    kubectl.show("get", "wf,wfe")


def over_rest(address: str, *, logs: bool) -> None:
    """Create a workflow with curl, execute it, and print its progress and result."""
    api = f"{address}/api/workflows"
    workflow = _curl("-X", "POST", api, "-H", "Content-Type: application/json", "-d", f"@{_BODY}")
    execute = '{"environment": "awsVirginia", "parameters": {"limit": 30000}}'
    own = f"{api}/{workflow['id']}"
    begun = _curl("-X", "POST", f"{own}/execute", "-H", "Content-Type: application/json", "-d", execute)
    url = f"{own}/executions/{begun['executionId']}"
    say()
    run = runs.follow(runs.polled(url))
    _must_complete(run)
    say()
    answer = _curl(url, output=False)
    for step in answer["stepExecutions"]:
        say(f"{step['name']} took {step['duration']}")
        for line in step.get("logs", ()) if logs else ():
            say(f"  {line['timestamp']} {line['level']:<7} {line['message']}")


def _curl(*arguments: str, output: bool = True) -> Any:
    """Run and print a curl command; return the response, which `output` prints too.

    Raises:
        DemoError: The facade responded with an error, or not at all.
    """
    # A proxy that the environment sets is not for this machine's own addresses.
    env = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    text = shown(["curl", "-sS", *arguments], env=env, output=False)
    try:
        answer = json.loads(text)
    except ValueError:
        raise DemoError(f"The facade's response is not JSON: {text[:200]!r}", FACADE.log) from None
    if output:
        say(json.dumps(answer, indent=2, ensure_ascii=False))
    if "status" in answer and "title" in answer:
        raise DemoError(f"The facade refused: {answer.get('detail', answer['title'])}", FACADE.log)
    return answer


def _in_order(execution: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The steps that have run, in the order in which they started."""
    steps = [{"name": name, **step} for name, step in execution["status"]["steps"].items()]
    begun = [step for step in steps if step.get("jobName")]
    return sorted(begun, key=lambda step: (datetime.fromisoformat(step["startTime"]), step["name"]))


def _must_complete(run: runs.Run) -> None:
    if run.phase != "Completed":
        raise DemoError(f"The run should have completed, but is {run.phase}: {run.message}", OPERATOR.log)


def _farewell(address: str, probes: str, places: Places) -> str:
    logs = ", ".join(os.path.relpath(service.log) for service in (OPERATOR, FACADE))
    export = [f"export KUBECONFIG={KUBECONFIG}"]
    if (BUILD / "bin" / "kubectl").exists():
        export.append(f"export PATH={BUILD / 'bin'}:$PATH")
    tries = [
        "kubectl get wf,wfe,wfenv               # all workflows, runs and Environments",
        "kubectl explain workflow.spec.steps    # describes every field",
        f"curl {address}/api/workflows",
        _run("image-classification") + " && kubectl get wfe -w",
    ]
    if places.gpu:
        tries.append(_run("gpu-training"))
        tries.append(
            "kubectl get pods -l nightcrawler.dev/workflow=gpu-training -o yaml | grep -A8 resources:"
        )
    if places.real:
        tries.append(_run("retries"))
    return f"""\
  dashboard API   {address}/docs   (interactive documentation of the REST API)
  metrics         {address}/metrics, {probes}/metrics
  logs            {logs}

To use kubectl, in your shell:

  {_lines(export)}

Then try:

  {_lines(tries)}

Other examples: examples/README.md. To stop operator, facade and cluster: make cluster-down"""


def _run(example: str) -> str:
    return f"kubectl apply -f examples/{example}.yaml && kubectl create -f examples/run/{example}.yaml"


def _lines(lines: Sequence[str]) -> str:
    return "\n  ".join(lines)
