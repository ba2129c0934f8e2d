"""Manifests for tests, in one line: `a_workflow("x").step("a", retries=2).config(timeout="5m")`.

Names of arguments are the manifest's in Python's spelling (`depends_on`, `retry_delay`); values go
through as they are. Every method returns a new builder, so a base can be shared.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from nightcrawler_crds import names

Manifest = dict[str, Any]

IMAGE: Final = "busybox:1"
DURATION: Final = "kwok.nightcrawler.dev/duration"
EXIT_CODE: Final = "kwok.nightcrawler.dev/exit-code"
_MESSAGE: Final = "kwok.nightcrawler.dev/message"


def _wire(name: str) -> str:
    first, *others = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in others)


def _fields(fields: dict[str, Any]) -> Manifest:
    return {_wire(name): value for name, value in fields.items()}


@dataclass(frozen=True)
class Builder:
    """A manifest of any kind."""

    kind: str
    name: str
    spec: Manifest = field(default_factory=dict)
    metadata: Manifest = field(default_factory=dict)

    def with_spec(self, **fields: Any) -> Self:
        """Set fields of the spec."""
        return replace(self, spec={**self.spec, **_fields(fields)})

    def with_metadata(self, **metadata: Any) -> Self:
        """Set fields of the metadata."""
        return replace(self, metadata={**self.metadata, **_fields(metadata)})

    def manifest(self) -> Manifest:
        """The object, to be changed at will."""
        metadata = {"name": self.name, **self.metadata} if self.name else self.metadata
        body = {
            "apiVersion": names.API_VERSION,
            "kind": self.kind,
            "metadata": metadata,
            "spec": self.spec,
        }
        return copy.deepcopy(body)


@dataclass(frozen=True)
class WorkflowBuilder(Builder):
    """A Workflow."""

    def step(
        self,
        name: str,
        *,
        image: str = IMAGE,
        lasts: float | None = None,
        exit_code: int | None = None,
        says: str | None = None,
        pod: Manifest | None = None,
        **fields: Any,
    ) -> Self:
        """Add a step.

        Args:
            name: Its name.
            image: Its image.
            lasts: For how many seconds its Pods run on a simulated node; 0.1 by default.
            exit_code: Their exit code there; 0 by default.
            says: Their termination message there.
            pod: Its podTemplate; the annotations for a simulated node are added to it.
            fields: Its other fields.
        """
        step: Manifest = {"name": name, "image": image, **_fields(fields)}
        template = copy.deepcopy(pod or {})
        played = {
            key: value
            for key, value in (
                (DURATION, None if lasts is None else f"{round(lasts * 1000)}ms"),
                (EXIT_CODE, None if exit_code is None else str(exit_code)),
                (_MESSAGE, says),
            )
            if value is not None
        }
        if played:
            annotations = template.setdefault("metadata", {}).setdefault("annotations", {})
            annotations.update(played)
        if template:
            step["podTemplate"] = template
        return self.with_spec(steps=[*self.spec.get("steps", ()), step])

    def config(self, **fields: Any) -> Self:
        """Set fields of `config`."""
        return self.with_spec(config={**self.spec.get("config", {}), **_fields(fields)})

    def options(self, **fields: Any) -> Self:
        """Set fields of `options`."""
        return self.with_spec(options={**self.spec.get("options", {}), **_fields(fields)})

    def parameter(self, name: str, **fields: Any) -> Self:
        """Declare a parameter."""
        declared = {"name": name, **_fields(fields)}
        return self.with_spec(parameters=[*self.spec.get("parameters", ()), declared])


@dataclass(frozen=True)
class ExecutionBuilder(Builder):
    """A WorkflowExecution."""

    def with_parameters(self, **parameters: Any) -> Self:
        """Set parameters; their names stay as they are."""
        return self.with_spec(parameters={**self.spec.get("parameters", {}), **parameters})


@dataclass(frozen=True)
class EnvironmentBuilder(Builder):
    """An Environment."""


@dataclass(frozen=True)
class ProfileBuilder(Builder):
    """A ComputeProfile."""


def a_workflow(name: str, **fields: Any) -> WorkflowBuilder:
    """A Workflow without steps; `fields` are the spec's."""
    return WorkflowBuilder("Workflow", name, _fields(fields))


def a_chain(name: str, length: int, *, lasts: float | None = None) -> WorkflowBuilder:
    """A Workflow of steps `s1`, `s2`, ... one after the other."""
    chain = a_workflow(name)
    for number in range(1, length + 1):
        chain = chain.step(f"s{number}", lasts=lasts)
    return chain


def an_execution(of: str | WorkflowBuilder, name: str = "", **fields: Any) -> ExecutionBuilder:
    """An execution of a workflow; without a name the server makes one from the workflow's."""
    workflow = of if isinstance(of, str) else of.name
    metadata = {} if name else {"generateName": f"{workflow}-"}
    return ExecutionBuilder(
        "WorkflowExecution", name, {"workflowRef": {"name": workflow}, **_fields(fields)}, metadata
    )


def an_environment(name: str, **fields: Any) -> EnvironmentBuilder:
    """An Environment; `fields` are the spec's."""
    return EnvironmentBuilder("Environment", name, _fields(fields))


def a_profile(name: str, **fields: Any) -> ProfileBuilder:
    """A ComputeProfile; `fields` are the spec's."""
    return ProfileBuilder("ComputeProfile", name, _fields(fields))
