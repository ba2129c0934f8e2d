"""Route of statistics."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from nightcrawler_api.dependencies import CallerOf, StatisticsOf
from nightcrawler_api.openapi import reads
from nightcrawler_api.responses import ETagResponse
from nightcrawler_api.statistics.schemas import StatisticsOfAll, StatisticsParameters

router = APIRouter(prefix="/api/statistics", tags=["executions"])

_FIGURES: Final[dict[str, Any]] = {
    "executions": 12,
    "running": 1,
    "completed": 9,
    "failed": 1,
    "cancelled": 1,
    "successRate": 0.9,
    "durationSeconds": {"mean": 4512.2, "median": 4585.0, "p95": 5120.0, "max": 5120.0},
    "waitSeconds": {"mean": 12.5, "median": 8.0, "p95": 44.0, "max": 44.0},
}
_EXAMPLE: Final[dict[str, Any]] = {**_FIGURES, "groups": [{"day": "2025-07-10", **_FIGURES}]}


@router.get(
    "",
    summary="Show statistics of executions",
    responses=reads(StatisticsOfAll, "The statistics.", _EXAMPLE, 422, 503),
)
async def show_statistics(
    statistics: StatisticsOf, caller: CallerOf, asked: Annotated[StatisticsParameters, Query()]
) -> Response:
    """Of all executions that match the filters and that the cluster still has, and of each group of them."""
    return ETagResponse(await statistics.show(asked, caller))
