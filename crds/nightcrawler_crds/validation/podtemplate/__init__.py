"""Which fields a step's podTemplate may set.

An allow-list: `fields`, `containers`, `volumes` and `security` name every field that may be set,
built from the types in `grammar`; `policy` has what an installation may allow beyond that; `check`
compares a podTemplate with all of it.
"""

from nightcrawler_crds.validation.podtemplate.check import env_problems, selector_problems, template_problems
from nightcrawler_crds.validation.podtemplate.policy import PodPolicy, Power

__all__ = ["PodPolicy", "Power", "env_problems", "selector_problems", "template_problems"]
