"""Whether every route of an application declares what it does; without that it does not start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from nightcrawler_api.auth.operations import Operation, Reach, operation_of

_DOCUMENTATION: Final = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs")
"""Paths of FastAPI's own routes: they say what there is to ask for, and nothing of anybody."""


class UndeclaredRoute(Exception):
    """A route declares no operation; a mistake in the program."""


def routes_of(app: FastAPI) -> Iterator[BaseRoute]:
    """All routes of an application, those of its routers too, which FastAPI keeps apart."""
    for route in app.routes:
        router = getattr(route, "original_router", None)
        if isinstance(router, APIRouter):
            yield from router.routes
        else:
            yield route


def declared(app: FastAPI) -> Iterator[tuple[APIRoute, Operation]]:
    """The routes and their operations.

    Raises:
        UndeclaredRoute: One declares none.
    """
    for route in routes_of(app):
        path = getattr(route, "path", "")
        if path in _DOCUMENTATION:
            continue
        if isinstance(route, APIRoute):
            operation = operation_of(route.endpoint)
            if operation is None:
                raise UndeclaredRoute(
                    f"{path} ({route.name}) declares no operation, so that it is unknown who may use it; see "
                    "auth.operations"
                )
            yield route, operation
        else:
            raise UndeclaredRoute(f"{path} is no route of ours, and not of the documentation")


def open_paths(app: FastAPI) -> list[str]:
    """The paths that need no authentication; those that end with a slash stand for all below."""
    probes = [route.path for route, operation in declared(app) if operation.reach is Reach.OPEN]
    own: list[Any] = [path for path in _DOCUMENTATION if not path.startswith("/static")]
    return [*probes, *own, *(f"{path}/" for path in _DOCUMENTATION if path.startswith("/static"))]
