"""The steps of the demo, in order."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from container import build
from demo import cluster, host, release, runs, services
from demo.cluster import BUILD, Capabilities, Kubectl
from demo.services import Installed
from demo.terminal import DemoError, heading, say, shown
from localcluster import choose, kind
from localcluster import demonstration as localcluster

_BODY: Final = "examples/rest/prime-search.json"


def up(*, in_kind: bool) -> None:
    """The whole demo; everything it has started keeps running.

    Args:
        in_kind: Whether the cluster has to be one of kind's.

    Raises:
        DemoError: Something failed; the text says what to do.
        ClusterError: The same, of the cluster or the image.
    """
    cluster.need_curl()
    _refuse_named()
    if in_kind:
        kind.require()
    heading("1. A Kubernetes cluster")
    image = build.archive() if _can_have_image() else None
    kubectl = cluster.bring_up(*([image] if image else []))
    _stop_processes()
    if image and cluster.has_real_node(cluster.nodes_of(kubectl)):
        heading("2. Operator and facade, installed by the Helm chart")
        release.offer_helm()
        release.install(kubectl, image)
        installed = release.forward(kubectl)
    else:
        say("\nThere is no real node (that needs root on Linux): Pods are simulated and have no logs,")
        say("and operator and facade run as processes on this host.")
        installed = _on_host(kubectl)
    show(kubectl, installed)


def dev() -> None:
    """The same with operator and facade as processes on this host.

    Raises:
        DemoError: Something failed; the text says what to do.
    """
    cluster.need_curl()
    heading("1. A Kubernetes cluster")
    kubectl = cluster.bring_up()
    release.refuse_if_installed(kubectl)
    show(kubectl, _on_host(kubectl))


def down() -> None:
    """Stop what runs on this host; the cluster is stopped by its own command."""
    _stop_processes()


def show(kubectl: Kubectl, installed: Installed) -> None:
    """Show workflows, once operator and facade run: where steps run, three runs, and what to try next.

    Raises:
        DemoError: Something failed; the text says what to do.
    """
    heading("3. Where and with what steps run")
    capabilities = cluster.add_environments(kubectl)
    heading("4. A workflow as a manifest")
    by_manifest(kubectl, installed, "image-classification", logs=capabilities.real)
    heading("5. A workflow over REST")
    workflow = over_rest(installed, logs=capabilities.real)
    heading("6. The same, by a schedule")
    by_schedule(kubectl, installed, workflow)
    if capabilities.gpu:
        heading("7. Where it costs least, and where it starts first")
        for example in ("cheapest", "soonest"):
            by_strategy(kubectl, installed, example)
    heading("Everything keeps running")
    say(_next_steps(kubectl, installed, capabilities))


def _on_host(kubectl: Kubectl) -> Installed:
    heading("2. Operator and facade, as processes on this host")
    host.install(kubectl)
    return host.start(kubectl)


def _stop_processes() -> None:
    for service in (release.FORWARD, host.FACADE, host.OPERATOR):
        if services.stop(service):
            say(f"{service.name} has stopped")


def _can_have_image() -> bool:
    """Whether the image can be built here and the cluster has a node that runs it."""
    return os.geteuid() == 0 or kind.works()


def _refuse_named() -> None:
    """The nodes of a cluster of the user's own cannot be given an image from here."""
    chosen = choose.choose(os.environ, lambda: False, localcluster.BuildPaths().kubeconfig)
    if isinstance(chosen, choose.Named):
        raise DemoError(
            f"{choose.VARIABLE} names a cluster of your own, whose nodes cannot be given the image that is "
            "built here. Run operator and facade on this host with `make dev`, or push the image and install "
            "the chart as docs/installing.md says."
        )


def by_manifest(kubectl: Kubectl, installed: Installed, example: str, *, logs: bool) -> None:
    """Apply a Workflow, create an execution of it, and print its progress and result."""
    kubectl.show("apply", "-f", f"examples/{example}.yaml")
    created = kubectl.show("create", "-f", f"examples/run/{example}.yaml")
    name = created.split()[0].partition("/")[2]
    say("\nProgress, from `kubectl get wfe --watch` (a step shorter than two seconds is reported once):")
    run = runs.follow(runs.watched(kubectl.program, str(kubectl.kubeconfig), name))
    execution = json.loads(kubectl.ask("get", "wfe", name, "-o", "json"))
    _must_complete(run, installed)
    if logs:
        for step in _in_order(execution):
            say(f"\n{step['name']}:")
            kubectl.show("logs", f"job/{step['jobName']}")
    say()
    kubectl.show("get", "wf,wfe")


def over_rest(installed: Installed, *, logs: bool) -> str:
    """Create a workflow with curl, execute it, and print its progress and result; the workflow's id."""
    api = f"{installed.address}/api/workflows"
    workflow = _curl("-X", "POST", api, "-H", "Content-Type: application/json", "-d", f"@{_BODY}")
    execute = '{"environment": "awsVirginia", "parameters": {"limit": 30000}}'
    own = f"{api}/{workflow['id']}"
    begun = _curl("-X", "POST", f"{own}/execute", "-H", "Content-Type: application/json", "-d", execute)
    url = f"{own}/executions/{begun['executionId']}"
    say()
    run = runs.follow(runs.polled(url))
    _must_complete(run, installed)
    say()
    answer = _curl(url, output=False)
    for step in answer["stepExecutions"]:
        say(f"{step['name']} took {step['duration']}")
        for line in step.get("logs", ()) if logs else ():
            say(f"  {line['timestamp']} {line['level']:<7} {line['message']}")
    return str(workflow["id"])


def by_schedule(kubectl: Kubectl, installed: Installed, workflow: str) -> None:
    """Give a workflow a schedule, print the run that it starts, and suspend it."""
    own = f"{installed.address}/api/workflows/{workflow}"
    every = '{"config": {"schedule": {"type": "interval", "interval": "10 seconds"}}}'
    _curl("-X", "PUT", own, "-H", "Content-Type: application/json", "-d", every)
    run = runs.follow(runs.polled(runs.scheduled(f"{own}/executions")))
    _must_complete(run, installed)
    say()
    kubectl.show("get", "wf", workflow)
    _curl("-X", "PUT", own, "-H", "Content-Type: application/json", "-d", '{"suspend": true}')


def by_strategy(kubectl: Kubectl, installed: Installed, example: str) -> None:
    """Let a strategy place a run, and print why it ran there, what else there was, and what it has cost."""
    kubectl.show("apply", "-f", f"examples/{example}.yaml")
    created = kubectl.show("create", "-f", f"examples/run/{example}.yaml")
    name = created.split()[0].partition("/")[2]
    url = f"{installed.address}/api/workflows/{example}/executions/{name}?logs=false"
    say()
    _must_complete(runs.follow(runs.polled(url)), installed)
    say()
    answer = _curl(url, output=False)
    say(f"{answer['placementMessage']}; it has cost {_amount(answer['cost'])}")
    for one in answer["placement"]:
        say(f"  {one['environment']:<6} {_offer(one)}")
    say()


def _offer(candidate: dict[str, Any]) -> str:
    """What was expected of a run in an Environment."""
    if "estimatedWait" not in candidate:
        return str(candidate["passedOver"])
    cost = _amount(candidate["estimatedCost"]) if "estimatedCost" in candidate else "nothing"
    return (
        f"would start after {candidate['estimatedWait']}, take {candidate['estimatedDuration']} at most, "
        f"and cost {cost}"
    )


def _amount(cost: dict[str, Any]) -> str:
    return f"{cost['amount']:.6f} {cost.get('currency', '')}".rstrip()


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
        raise DemoError(f"The facade's response is not JSON: {text[:200]!r}") from None
    if output:
        say(json.dumps(answer, indent=2, ensure_ascii=False))
    if "status" in answer and "title" in answer:
        raise DemoError(f"The facade refused: {answer.get('detail', answer['title'])}")
    return answer


def _in_order(execution: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The steps that have run, in the order in which they started."""
    steps = [{"name": name, **step} for name, step in execution["status"]["steps"].items()]
    begun = [step for step in steps if step.get("jobName")]
    return sorted(begun, key=lambda step: (datetime.fromisoformat(step["startTime"]), step["name"]))


def _must_complete(run: runs.Run, installed: Installed) -> None:
    if run.phase != "Completed":
        raise DemoError(
            f"The run should have completed, but is {run.phase}: {run.message}\nLogs: {installed.logs}"
        )


def _next_steps(kubectl: Kubectl, installed: Installed, capabilities: Capabilities) -> str:
    export = [f"export KUBECONFIG={kubectl.kubeconfig}"]
    if (BUILD / "bin" / "kubectl").exists():
        export.append(f"export PATH={BUILD / 'bin'}:$PATH")
    tries = [
        "kubectl get wf,wfe,wfenv               # all workflows, runs and Environments",
        "kubectl explain workflow.spec.steps    # describes every field",
        f"curl {installed.address}/api/workflows",
        _run("image-classification") + " && kubectl get wfe -w",
    ]
    if capabilities.gpu:
        tries.append(_run("gpu-training"))
        tries.append(
            "kubectl get pods -l nightcrawler.dev/workflow=gpu-training -o yaml | grep -A8 resources:"
        )
    if capabilities.real:
        tries.append(_run("retries"))
    return f"""\
  dashboard API   {installed.address}/docs   (interactive documentation of the REST API)
  metrics         {installed.metrics}
  logs            {installed.logs}

To use kubectl, in your shell:

  {_lines(export)}

Then try:

  {_lines(tries)}

Other examples: examples/README.md. To stop operator, facade and cluster: make cluster-down"""


def _run(example: str) -> str:
    return f"kubectl apply -f examples/{example}.yaml && kubectl create -f examples/run/{example}.yaml"


def _lines(lines: Sequence[str]) -> str:
    return "\n  ".join(lines)
