"""What a run uses of its workflow and profiles: the content of a ControllerRevision, named by its hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import ComputeProfileSpec
from nightcrawler_crds.validation import NO_PROFILES, Profiles

_PROFILES: Final = "profiles"
"""The compute profiles by the names that the workflow uses; no field of a workflow is called so."""

_RUN_RELEVANT: Final = (
    "steps",
    "order",
    "parameters",
    "options",
    "config",
    "environments",
    "environmentStrategy",
    "priority",
    "traceLevel",
)
"""The fields that a run depends on; a new description makes no new revision."""


def content(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The run-relevant part of a workflow's spec, as written."""
    return {field: spec[field] for field in _RUN_RELEVANT if field in spec}


def data_of(spec: Mapping[str, Any], profiles: Profiles) -> dict[str, Any]:
    """The content of the revision of a workflow and the profiles that it uses."""
    data = content(spec)
    if profiles:
        data[_PROFILES] = {
            name: profile.model_dump(by_alias=True, exclude_unset=True, mode="json")
            for name, profile in profiles.items()
        }
    return data


def kept_profiles(data: Mapping[str, Any]) -> Profiles:
    """The profiles in the content of a revision.

    Raises:
        ValueError: One cannot be read.
    """
    return {
        name: ComputeProfileSpec.model_validate(profile, extra="ignore")
        for name, profile in data.get(_PROFILES, NO_PROFILES).items()
    }


def name_of(workflow: str, workflow_uid: str, data: Mapping[str, Any]) -> str:
    """The name of the revision with a content."""
    text = msgspec.json.encode(data, order="deterministic").decode()
    return names.revision_name(workflow, workflow_uid, text)
