"""What a step's podTemplate may hold.

An allow-list: `fields`, `containers`, `volumes` and `security` name every field that may be
set, in the words of `grammar`; `policy` has what an installation may allow beyond; `check`
compares a podTemplate with all that.
"""

from nightcrawler_crds.podtemplate.check import Finding, env_findings, findings, leaves
from nightcrawler_crds.podtemplate.policy import PodPolicy, Power

__all__ = ["Finding", "PodPolicy", "Power", "env_findings", "findings", "leaves"]
