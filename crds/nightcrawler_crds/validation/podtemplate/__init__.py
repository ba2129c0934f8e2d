"""Which fields a step's podTemplate may set.

An allow-list: `fields`, `containers`, `volumes` and `security` name every field that may be set,
built from the types in `grammar`; `policy` has what an installation may allow beyond that; `check`
compares a podTemplate with all of it, and `level` with a level of the Pod Security Standards.
"""

from nightcrawler_crds.validation.podtemplate.check import env_problems, selector_problems, template_problems
from nightcrawler_crds.validation.podtemplate.level import BEYOND
from nightcrawler_crds.validation.podtemplate.policy import ALL_POWERS, Level, PodPolicy, Power

__all__ = [
    "ALL_POWERS",
    "BEYOND",
    "Level",
    "PodPolicy",
    "Power",
    "env_problems",
    "selector_problems",
    "template_problems",
]
