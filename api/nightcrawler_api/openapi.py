"""The OpenAPI document, and helpers for it: schemas of values validated elsewhere, and examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from nightcrawler_api import errors
from nightcrawler_api.auth.declared import declared, routes_of
from nightcrawler_api.auth.operations import Reach
from nightcrawler_api.http.json_body import JSON
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.http.yaml_body import YAML, YamlRoute
from nightcrawler_api.repeats import REPLAYED


def document(routes: Iterable[Routes], title: str, version: str, description: str) -> dict[str, Any]:
    """The document of an application that has these routes."""
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        openapi_url=None,  # it serves nothing
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for part in routes:
        part.add_to(app, documented=True)
    document_access(app)
    document_problem_type(app)
    document_rules(app)
    document_yaml(app)
    return app.openapi()


def document_problem_type(app: FastAPI) -> None:
    """Document problems as application/problem+json; call it after all routes are added.

    FastAPI documents every response of a route with the media type of its success response.
    """
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    _, content = response["content"].popitem()
                    response["content"] = {errors.MEDIA_TYPE: content}


def document_access(app: FastAPI) -> None:
    """Document what each operation takes, and how callers are identified; before `document_problem_type`."""
    document = app.openapi()
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the identity provider. Where the installation identifies nobody, it is "
        "ignored.",
    }
    for route, operation in declared(app):
        if operation.reach is Reach.OPEN:
            continue
        for verb in route.methods or ():
            documented = document["paths"][route.path][verb.lower()]
            # Either: an installation without identity takes requests without.
            documented["security"] = [{"bearer": []}, {}]
            documented["x-nightcrawler-operation"] = operation.title
            documented["x-nightcrawler-permission"] = operation.access.value
            needed = (401, 503) if operation.reach is Reach.CALLER else (401, 403, 503)
            for status in needed:
                if str(status) not in documented["responses"]:
                    problem = {"$ref": "#/components/schemas/Problem"}
                    documented["responses"][str(status)] = {
                        "description": errors.meaning(status),
                        "content": {"application/json": {"schema": problem}},
                    }
            documented["responses"] = dict(sorted(documented["responses"].items()))


def document_yaml(app: FastAPI) -> None:
    """Document that the bodies of some routes may be YAML, which FastAPI does not know."""
    for route in routes_of(app):
        if isinstance(route, YamlRoute):
            for verb in route.methods or ():
                content = app.openapi()["paths"][route.path][verb.lower()]["requestBody"]["content"]
                content[YAML] = content[JSON]


def document_rules(app: FastAPI) -> None:
    """Document which fields require which others.

    The custom resources say it in CEL (`x-kubernetes-validations`), which OpenAPI readers do not know.
    """
    schemas = app.openapi()["components"]["schemas"]
    kinds = ("cron", "interval")
    schemas["Schedule"]["oneOf"] = [
        {"properties": {"type": {"const": kind}, kind: {"not": {"type": "null"}}}, "required": ["type", kind]}
        for kind in kinds
    ]
    schemas["EnvVar"]["not"] = {
        "properties": {field: {"not": {"type": "null"}} for field in ("value", "valueFrom")},
        "required": ["value", "valueFrom"],
    }
    # The schema of a custom resource allows more here, so that one sentence can say what is not supported.
    for model in schemas.values():
        nodes = model.get("properties", {}).get("nodes", {})
        if "anyOf" in nodes:  # and not those of an environment
            nodes["anyOf"] = [{"type": "integer", "const": 1}, {"type": "null"}]
    _write_whole_bounds(app.openapi())


def _write_whole_bounds(node: Any) -> None:
    """Write whole bounds as integers: as floats, large ones are rounded in the document."""
    if isinstance(node, dict):
        for bound in ("minimum", "maximum"):
            if isinstance(node.get(bound), float) and node[bound].is_integer():
                node[bound] = int(node[bound])
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _write_whole_bounds(inner)


class DocumentedAs:
    """Annotates a value that is documented as a model but validated elsewhere."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The model's JSON schema."""
        return handler(self._model.__pydantic_core_schema__)


def answers(
    status: int, model: Any, meaning: str, example: Any, *problems: int
) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: the success response with its example, and the possible problems."""
    good = {"model": model, "description": meaning, "content": {"application/json": {"example": example}}}
    return {status: good, **errors.responses(*problems)}


def creates(model: Any, meaning: str, example: Any, *problems: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that creates something, and takes an Idempotency-Key."""
    documented = answers(201, model, meaning, example, *problems)
    documented[201]["headers"] = {
        "Location": {"description": "The URL of what is created.", "schema": {"type": "string"}},
        REPLAYED: {
            "description": "true if an earlier request with this Idempotency-Key has created it.",
            "schema": {"type": "string", "enum": ["true"]},
        },
    }
    return documented


def with_table(documented: dict[int | str, dict[str, Any]], example: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with a table too."""
    good = documented[200]
    good["content"] = {**good["content"], "text/csv": {"schema": {"type": "string"}, "example": example}}
    link = "Of a table: the URL of what follows, as rel=next, if something does."
    good["headers"] = {**good["headers"], "Link": {"description": link, "schema": {"type": "string"}}}
    return documented


def reads(model: Any, meaning: str, example: Any, *problems: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route with an ETag."""
    documented = answers(200, model, meaning, example, *problems)
    documented[200]["headers"] = {
        "ETag": {
            "description": "A weak entity tag of this response, for If-None-Match.",
            "schema": {"type": "string"},
        }
    }
    return {
        **documented,
        304: {"description": "Not modified: the tag in If-None-Match is current."},
    }
