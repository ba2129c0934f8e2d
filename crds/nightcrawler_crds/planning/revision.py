"""What a run uses of its workflow and of compute profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from nightcrawler_crds.v1alpha1 import ComputeProfileSpec, Step, WorkflowSpec
from nightcrawler_crds.validation import NO_PROFILES, Profiles, WantedNotices, profile_name, wanted_notices


@dataclass(frozen=True)
class Revision:
    """What a run uses of its workflow and its profiles, with the name of its ControllerRevision."""

    name: str
    spec: WorkflowSpec
    profiles: Profiles = field(default_factory=lambda: NO_PROFILES)
    owner: str = ""
    """The UID of the workflow that it is of."""

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """The steps by name, in the order of the spec."""
        return {step.name: step for step in self.spec.steps or ()}

    def profile_of(self, step: Step) -> ComputeProfileSpec | None:
        """The compute profile of a step; None if it uses none."""
        return self.profiles.get(profile_name(step, self.spec) or "")

    @cached_property
    def notices(self) -> WantedNotices:
        """Which messages about its runs the workflow asks for."""
        return wanted_notices(self.spec)

    @cached_property
    def depends(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, the steps that must be Completed before it begins."""
        if self.spec.effective_order == "Graph":
            return {step.name: tuple(step.depends_on or ()) for step in self.steps.values()}
        before: dict[str, tuple[str, ...]] = {}
        last: tuple[str, ...] = ()
        for name in self.steps:
            before[name] = last
            last = (name,)
        return before

    @cached_property
    def levels(self) -> Mapping[str, int]:
        """How many steps are before each, on the longest way to it. There is no cycle."""
        levels: dict[str, int] = {}
        todo = list(self.steps)
        while todo:
            missing = [one for one in self.depends[todo[-1]] if one not in levels]
            if missing:
                todo += missing
                continue
            name = todo.pop()
            levels[name] = 1 + max((levels[one] for one in self.depends[name]), default=-1)
        return levels

    @property
    def runs_in_parallel(self) -> bool:
        """Whether two of its steps may run at the same time."""
        return len(self.levels) > len(set(self.levels.values()))
