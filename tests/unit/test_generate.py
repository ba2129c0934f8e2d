"""The custom resources' YAML: what the generator makes of the models, and that the files are that."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field

from nightcrawler_crds import words
from nightcrawler_crds.generate import __main__ as generate
from nightcrawler_crds.generate.kinds import KINDS, Kind, definition
from nightcrawler_crds.generate.structural import SchemaError, structural
from nightcrawler_crds.v1alpha1.base import (
    SERVER_DEFAULT,
    AnyJson,
    ApiModel,
    Cpu,
    FreeForm,
    list_map,
    rule,
)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.kind)
TEXT = {"type": "string"}


def field_of(annotation: Any, **extra: Any) -> dict[str, Any]:
    """The structural schema of one described field."""

    class Model(ApiModel):
        some_field: annotation = Field(description="A field.", **extra)

    node: dict[str, Any] = structural(Model)["properties"]["someField"]
    assert node.pop("description") == "A field."
    return node


# --- models -> structural schema -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, TEXT),
        (str | None, TEXT),
        (bool, {"type": "boolean"}),
        (Annotated[int, Field(ge=0, le=9)], {"type": "integer", "minimum": 0, "maximum": 9}),
        (Annotated[float, Field(gt=0)], {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        (Annotated[float, Field(lt=1)], {"type": "number", "maximum": 1, "exclusiveMaximum": True}),
        (Annotated[str, Field(pattern="^a$", max_length=3)], {**TEXT, "pattern": "^a$", "maxLength": 3}),
        (Literal["a"], {**TEXT, "enum": ["a"]}),
        (Literal["a", "b"] | None, {**TEXT, "enum": ["a", "b"]}),
        (Annotated[list[str], Field(max_length=2)], {"type": "array", "maxItems": 2, "items": TEXT}),
        (dict[str, str], {"type": "object", "additionalProperties": TEXT}),
        (FreeForm, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        (AnyJson, {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}),
    ],
    ids=str,
)
def test_a_type_becomes_one_structural_node(annotation: Any, schema: dict[str, Any]) -> None:
    assert field_of(annotation) == schema


def test_models_within_models_are_written_out_in_place() -> None:
    class Inner(ApiModel):
        """What an inner thing is."""

        name: str = Field(description="Its name.")

    class Outer(ApiModel):
        """What an outer thing is."""

        one: Inner | None = Field(default=None, description="The one.")
        many: list[Inner] = Field(description="The others.", json_schema_extra=list_map("name"))

    inner = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "description": "Its name."}},
    }
    assert structural(Outer) == {
        "description": "What an outer thing is.",
        "type": "object",
        "required": ["many"],
        "properties": {
            "one": {**inner, "description": "The one."},
            "many": {
                "description": "The others.",
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {**inner, "description": "What an inner thing is."},
            },
        },
    }


def test_a_word_is_text_or_number_and_its_refusal_names_the_accepted_forms() -> None:
    class Model(ApiModel):
        cpu: Cpu | None = Field(default=None, description="CPU requested.")

    assert structural(Model)["properties"]["cpu"] == {
        "description": f"CPU requested. Accepted: {words.CPU_FORMS}.",
        "x-kubernetes-preserve-unknown-fields": True,
        "maxLength": words.WORD_MAX_LENGTH,
        "anyOf": [
            {"enum": [words.CPU_FORMS]},
            {
                "minimum": 0,
                "maximum": words.MAX_CORES,
                "pattern": words.CPU_PATTERN,
                "maxLength": words.WORD_MAX_LENGTH,
                "maxProperties": 0,
                "maxItems": 0,
                "not": {"enum": [True, False, {}, []]},
            },
        ],
    }


def test_defaults_are_written_only_where_the_server_fills_them_in() -> None:
    assert field_of(bool, default=False) == {"type": "boolean"}
    assert field_of(bool, default=False, json_schema_extra=SERVER_DEFAULT) == {
        "type": "boolean",
        "default": False,
    }


def test_a_rule_with_the_same_pattern_and_a_readable_message_replaces_the_pattern() -> None:
    said = rule("self.matches('^a$')", "write a")
    assert field_of(Annotated[str, Field(pattern="^a$")], json_schema_extra=said) == {**TEXT, **said}
    other = rule("self != 'b'", "not b")
    assert "pattern" in field_of(Annotated[str, Field(pattern="^a$")], json_schema_extra=other)


def test_a_rule_may_name_the_field_it_is_about() -> None:
    (written,) = rule("has(self.a)", "a is needed", about="a")["x-kubernetes-validations"]
    assert written == {"rule": "has(self.a)", "message": "a is needed", "fieldPath": ".a"}


def test_a_field_without_a_description_is_refused_by_name() -> None:
    class Model(ApiModel):
        silent: str

    with pytest.raises(SchemaError, match=r"^Model\.silent: the field has no description"):
        structural(Model)


def test_a_field_of_two_types_that_is_no_word_is_refused_by_name() -> None:
    class Model(ApiModel):
        either: int | str = Field(description="One or the other.")

    with pytest.raises(SchemaError, match=r"^Model\.either: a structural schema has one type a field"):
        structural(Model)


def test_a_keyword_that_structural_schemas_lack_is_refused_by_name() -> None:
    class Model(ApiModel):
        unique: set[str] = Field(description="No two the same.")

    with pytest.raises(SchemaError, match=r"^Model\.unique: a structural schema has no uniqueItems"):
        structural(Model)


# --- kinds -> manifests ----------------------------------------------------------------------------


def every_node(node: dict[str, Any], path: str = "") -> Any:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from every_node(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from every_node(node[key], f"{path}[]")


def schema_of(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@every_kind
def test_every_field_of_ours_has_a_description(kind: Kind) -> None:
    for part in ("spec", "status"):
        for path, node in every_node(schema_of(kind)["properties"][part], part):
            if not path.endswith("[]"):
                assert node.get("description", "").strip(), path


@every_kind
def test_every_list_map_and_text_written_by_users_is_bounded(kind: Kind) -> None:
    for path, node in every_node(schema_of(kind)["properties"]["spec"], "spec"):
        match node.get("type"):
            case "array":
                assert "maxItems" in node, path
            case "string":
                assert node.keys() & {"maxLength", "enum", "format", "pattern"}, path
            case "object" if "additionalProperties" in node:
                assert "maxProperties" in node, path


@every_kind
def test_every_rule_has_a_message(kind: Kind) -> None:
    rules = [
        said for _, node in every_node(schema_of(kind)) for said in node.get("x-kubernetes-validations", ())
    ]
    assert all(said["message"] for said in rules)


def test_cancel_is_the_only_field_that_the_server_fills_in() -> None:
    filled = {
        (kind.resource.kind, path): node["default"]
        for kind in KINDS
        for path, node in every_node(schema_of(kind))
        if "default" in node
    }
    assert filled == {("WorkflowExecution", ".spec.cancel"): False}


def test_kinds_have_their_names_scopes_and_short_names() -> None:
    made = [definition(kind)["spec"] for kind in KINDS]
    assert {
        spec["names"]["kind"]: (spec["scope"], *spec["names"]["shortNames"], *spec["names"]["categories"])
        for spec in made
    } == {
        "Workflow": ("Namespaced", "wf", "ncwf", "nightcrawler"),
        "WorkflowExecution": ("Namespaced", "wfe", "ncwfe", "nightcrawler"),
        "Environment": ("Cluster", "wfenv", "nightcrawler"),
        "ComputeProfile": ("Cluster", "wfprofile", "nightcrawler"),
    }
    assert {spec["group"] for spec in made} == {"nightcrawler.dev"}


@every_kind
def test_status_is_a_subresource(kind: Kind) -> None:
    assert definition(kind)["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_only_executions_are_selected_by_phase_and_by_what_they_owe() -> None:
    versions = {kind.resource.kind: definition(kind)["spec"]["versions"][0] for kind in KINDS}
    selectable = {kind: version.get("selectableFields") for kind, version in versions.items()}
    assert selectable.pop("WorkflowExecution") == [
        {"jsonPath": ".status.phase"},
        {"jsonPath": ".status.settled"},
    ]
    assert set(selectable.values()) == {None}


# --- the files -------------------------------------------------------------------------------------


def test_the_files_in_the_repository_are_what_the_models_make() -> None:
    assert generate.main(["--check"]) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(generate.FOLDER / "README.md", tmp_path)
    (tmp_path / "chart").mkdir()
    return tmp_path


def run(arguments: list[str], folder: Path) -> int:
    return generate.main(arguments, folder, folder / "chart")


def test_written_files_are_read_back_as_the_manifests(folder: Path) -> None:
    assert run([], folder) == 0
    for kind in KINDS:
        text = (folder / f"{kind.resource.plural}.yaml").read_text(encoding="utf-8")
        assert text.startswith("# Generated from the models")
        assert "&id" not in text
        assert yaml.safe_load(text) == definition(kind)


def test_the_chart_has_each_custom_resource_as_a_template_that_outlives_the_release(folder: Path) -> None:
    assert run([], folder) == 0
    for kind in KINDS:
        name = f"{kind.resource.plural}.yaml"
        text = (folder / "chart" / name).read_text(encoding="utf-8")
        begin, *lines, end = text.splitlines()
        assert (begin, end) == ("{{- if .Values.crds.install }}", "{{- end }}")
        labels = [line for line in lines if line.startswith("  labels: {{- include")]
        assert len(labels) == 1
        made = yaml.safe_load("\n".join(line for line in lines if line not in labels))
        assert made["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert made == definition(kind)


def test_a_check_fails_on_a_changed_file_names_it_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run([], folder)
    changed = folder / "workflows.yaml"
    changed.write_text("# by hand\n")
    capsys.readouterr()
    assert run(["--check"], folder) == 1
    assert capsys.readouterr().err == f"{changed} is not what the models make of it; run `make generate`\n"
    assert changed.read_text() == "# by hand\n"


def test_a_check_fails_on_a_missing_file(folder: Path) -> None:
    assert run(["--check"], folder) == 1


def test_writing_twice_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run([], folder)
    capsys.readouterr()
    assert run([], folder) == 0
    assert capsys.readouterr().out == ""
