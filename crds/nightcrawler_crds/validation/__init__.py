"""What a schema cannot check: graphs, sizes, Pod templates, parameters, environments. Pure.

The facade checks every write and refuses it; the operator checks before it runs anything and reports
the problem in `Accepted`. Both use the same sentences.
"""

from nightcrawler_crds.validation.environments import (
    NONE_CHOSEN,
    Cordon,
    cordon,
    default_environment,
    environment_problems,
    find_environment,
    is_called,
    maintenance,
    oldest,
    own_template_problems,
    unknown_environment,
)
from nightcrawler_crds.validation.notifications import (
    NO_NOTICES,
    WantedNotices,
    is_allowed,
    recipient_problems,
    wanted_by,
    wanted_notices,
)
from nightcrawler_crds.validation.parameters import filled_parameters, parameter_problems
from nightcrawler_crds.validation.podtemplate import PodPolicy
from nightcrawler_crds.validation.problems import Problem, pointer_part
from nightcrawler_crds.validation.profiles import (
    NO_PROFILES,
    Profiles,
    effective_resources,
    find_profile,
    first_word,
    profile_name,
    profile_problems,
    profile_selector_problems,
    unknown_profile,
    used_profiles,
)
from nightcrawler_crds.validation.secrets import is_secure
from nightcrawler_crds.validation.unenforced import workflow_warnings
from nightcrawler_crds.validation.workflow import workflow_problems

__all__ = [
    "NONE_CHOSEN",
    "NO_NOTICES",
    "NO_PROFILES",
    "Cordon",
    "PodPolicy",
    "Problem",
    "Profiles",
    "WantedNotices",
    "cordon",
    "default_environment",
    "effective_resources",
    "environment_problems",
    "filled_parameters",
    "find_environment",
    "find_profile",
    "first_word",
    "is_allowed",
    "is_called",
    "is_secure",
    "maintenance",
    "oldest",
    "own_template_problems",
    "parameter_problems",
    "pointer_part",
    "profile_name",
    "profile_problems",
    "profile_selector_problems",
    "recipient_problems",
    "unknown_environment",
    "unknown_profile",
    "used_profiles",
    "wanted_by",
    "wanted_notices",
    "workflow_problems",
    "workflow_warnings",
]
