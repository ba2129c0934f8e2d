"""The Helm chart, rendered by helm itself."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from localcluster import binaries

CHART: Final = Path(__file__).parents[2] / "charts" / "nightcrawler"
NAMESPACE: Final = "nightcrawler"
HOME: Final = "nightcrawler-workflows"
CASES: Final = sorted((CHART / "ci").glob("*-values.yaml"))

Manifest = dict[str, Any]
Values = dict[str, Any]


class HelmError(AssertionError):
    """Helm failed; the text is its standard error."""


@functools.cache
def _helm(major: int) -> str:
    return str(binaries.helm(major))


def helm(*arguments: str, stdin: str | None = None, kubeconfig: Path | None = None, major: int = 3) -> str:
    """What helm of this major version prints.

    Raises:
        HelmError: If it fails.
    """
    command = [_helm(major), *arguments, *([f"--kubeconfig={kubeconfig}"] if kubeconfig else [])]
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise HelmError(ended.stderr.strip())
    return ended.stdout


def rendered(
    values: Values | None = None,
    *,
    case: Path | None = None,
    namespace: str = NAMESPACE,
    apis: tuple[str, ...] = (),
    major: int = 3,
) -> str:
    """The manifests as text; the values of a file in `ci/`, then the others, over the chart's own."""
    return _rendered(json.dumps(values or {}, sort_keys=True), case, namespace, apis, major)


@functools.cache
def _rendered(values: str, case: Path | None, namespace: str, apis: tuple[str, ...], major: int) -> str:
    """Once for each question: helm takes half a second to answer."""
    return helm(
        "template",
        "nightcrawler",
        str(CHART),
        f"--namespace={namespace}",
        *([f"--values={case}"] if case else []),
        "--values=-",
        *(f"--api-versions={api}" for api in apis),
        stdin=values,
        major=major,
    )


def manifests(
    values: Values | None = None,
    *,
    case: Path | None = None,
    namespace: str = NAMESPACE,
    apis: tuple[str, ...] = (),
    major: int = 3,
) -> list[Manifest]:
    """The objects that the chart makes."""
    text = rendered(values, case=case, namespace=namespace, apis=apis, major=major)
    return [document for document in yaml.safe_load_all(text) if document]


def refusal(values: Values, *, namespace: str = NAMESPACE) -> str:
    """Helm's error for values that the chart refuses."""
    try:
        rendered(values, namespace=namespace)
    except HelmError as error:
        return str(error)
    raise AssertionError(f"the chart takes {values}")


def of(objects: list[Manifest], kind: str, name: str = "") -> list[Manifest]:
    """The objects of a kind, and of a name if one is given."""
    return [o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"])]


def one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """The object of this kind and name."""
    (found,) = of(objects, kind, name)
    return found


def pod_specs(objects: list[Manifest]) -> dict[str, Manifest]:
    """The specs of all Pods that the chart makes, by the name of what makes them."""
    made = {
        f"{o['kind']}/{o['metadata']['name']}": o["spec"]
        for o in objects
        if o["kind"] in ("Deployment", "Pod", "Job")
    }
    return {name: spec["template"]["spec"] if "template" in spec else spec for name, spec in made.items()}


def variables(objects: list[Manifest], deployment: str) -> dict[str, Any]:
    """The environment of the one container of a Deployment, by name; what is not text by its source."""
    (container,) = one(objects, "Deployment", deployment)["spec"]["template"]["spec"]["containers"]
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len({*names}), f"a variable is there twice: {names}"
    return {
        variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]
    }
