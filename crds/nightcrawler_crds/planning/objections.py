"""What speaks against an Environment for a run."""

from __future__ import annotations

from collections.abc import Iterator

from nightcrawler_crds.planning.candidates import Candidate, NoPlace
from nightcrawler_crds.planning.fitting import too_large
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.planning.onenode import contradiction, too_large_together
from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import is_on_one_node
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import (
    environment_problems,
    own_template_problems,
    profile_selector_problems,
)


def objections(
    candidate: Candidate, revision: Revision, nodes: Nodes, limits: StepDefaults
) -> Iterator[NoPlace]:
    """Why the run could never run there, most fundamental first."""
    spec, steps = candidate.spec, revision.spec.steps or ()
    selector = spec.node_selector or {}
    for problem in own_template_problems(candidate.name, spec):
        yield NoPlace(problem.reason, problem.message)
    for problem in environment_problems(steps, candidate.name, selector):
        yield NoPlace(problem.reason, problem.message)
    for problem in profile_selector_problems(revision.spec, revision.profiles, candidate.name, selector):
        yield NoPlace(problem.reason, problem.message)
    together = is_on_one_node(revision.spec, spec, limits)
    if together and (sentence := contradiction(revision, spec, limits, nodes)):
        yield NoPlace(conditions.NO_COMMON_NODE, sentence)
    if spec.nodes == "Fixed":
        sentence = too_large(candidate.name, spec, revision, nodes, limits)
        if sentence is None and together:
            sentence = too_large_together(candidate.name, spec, revision, nodes, limits)
        if sentence:
            yield NoPlace(conditions.NO_NODE_LARGE_ENOUGH, sentence)
