"""Routes of environments and compute profiles."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import Environments
from nightcrawler_api.environments import examples
from nightcrawler_api.environments.queries import EnvironmentParameters, ProfileParameters
from nightcrawler_api.environments.schemas import (
    EnvironmentDetail,
    EnvironmentList,
    ProfileDetail,
    ProfileList,
)
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import reads
from nightcrawler_api.responses import ETagResponse

router = Routes(prefix="/api/environments", tags=["environments"])
profiles = Routes(prefix="/api/compute-profiles", tags=["environments"])

_EnvironmentId = Annotated[
    str,
    Path(alias="environmentId", description="The environment's id (its metadata.name), or an alias."),
]
_ProfileId = Annotated[
    str,
    Path(alias="computeProfileId", description="The profile's id (its metadata.name), or its name."),
]


@router.get(
    "",
    summary="List environments",
    responses=reads(EnvironmentList, "A page of environments.", examples.LIST, 422, 503),
)
@performs(Operation.LIST_ENVIRONMENTS)
async def list_environments(
    environments: Environments, asked: Annotated[EnvironmentParameters, Query()]
) -> Response:
    """Environments that match all filters, by name; with what their nodes have, what is free, and prices."""
    return ETagResponse(environments.page(asked))


@router.get(
    "/{environmentId}",
    summary="Show an environment",
    responses=reads(EnvironmentDetail, "The environment in full.", examples.DETAIL, 404, 422, 503),
)
@performs(Operation.SHOW_ENVIRONMENT)
async def show_environment(environments: Environments, environment_id: _EnvironmentId) -> Response:
    """What is free is a few seconds old, and what the scheduler makes of it may differ."""
    return ETagResponse(environments.show(environment_id))


@profiles.get(
    "",
    summary="List compute profiles",
    responses=reads(ProfileList, "A page of compute profiles.", examples.PROFILES, 422, 503),
)
@performs(Operation.LIST_PROFILES)
async def list_compute_profiles(
    environments: Environments, asked: Annotated[ProfileParameters, Query()]
) -> Response:
    """Compute profiles that match the search, by name."""
    return ETagResponse(environments.profiles(asked))


@profiles.get(
    "/{computeProfileId}",
    summary="Show a compute profile",
    responses=reads(ProfileDetail, "The profile in full.", examples.PROFILE_DETAIL, 404, 422, 503),
)
@performs(Operation.SHOW_PROFILE)
async def show_compute_profile(environments: Environments, profile_id: _ProfileId) -> Response:
    """What it sets, as it is written; a run keeps the values that it began with."""
    return ETagResponse(environments.show_profile(profile_id))
