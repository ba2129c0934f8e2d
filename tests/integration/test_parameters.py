"""What steps get of the parameters, and which parameters are refused."""

from __future__ import annotations

from typing import Any

from tests.support.builders import a_workflow, an_execution
from tests.support.team import Team


def variables(team: Team, execution: str) -> list[tuple[str, str]]:
    """The environment of the one step of a run, in its order."""
    (pod,) = team.pods(execution)
    env: list[dict[str, str]] = pod["spec"]["containers"][0]["env"]
    # The API server leaves out a value that is empty.
    return [(variable["name"], variable.get("value", "")) for variable in env]


def refusal(team: Team, execution: str) -> dict[str, Any]:
    """The condition Accepted of a run that was refused."""
    status = team.until_phase(execution, "Failed")
    accepted: dict[str, Any]
    (accepted,) = [c for c in status["conditions"] if c["type"] == "Accepted"]
    assert accepted["status"] == "False"
    assert accepted["message"] == status["message"]
    assert team.jobs(execution) == []
    return accepted


def test_parameters_come_first_as_written_or_by_default(shared: Team) -> None:
    workflow = (
        a_workflow("filled")
        .parameter("epochs", default=10)
        .parameter("path", required=True)
        .parameter("unset")
        .parameter("nothing", default=None)
        .step("one", env=[{"name": "MODE", "value": "fast"}])
    )
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow).with_parameters(path="s3://datasets/imagenet"))

    shared.until_phase(run, "Completed")

    seen = variables(shared, run)
    assert dict(seen[:4]) == {
        "PARAM_epochs": "10",
        "PARAM_path": "s3://datasets/imagenet",
        "PARAM_unset": "",
        "PARAM_nothing": "null",
    }
    assert seen[-1] == ("MODE", "fast")


def test_values_of_every_json_type_arrive_as_text(shared: Team) -> None:
    values: dict[str, Any] = {
        "text": "two words",
        "number": 64,
        "rate": 0.1,
        "flag": False,
        "nothing": None,
        "list": [64, "same", {"depth": [1, None]}],
        "tree": {"a": {"b": {}}},
        "quoted": "say \"yes\", 'no'\nand 🦉",
        "breaking": "$(NIGHTCRAWLER_EXECUTION) $HOME `id` $$",
    }
    workflow = a_workflow("anything").step("one")
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow).with_parameters(**values))

    shared.until_phase(run, "Completed")

    seen = dict(variables(shared, run))
    assert seen["PARAM_text"] == "two words"
    assert [seen[f"PARAM_{n}"] for n in ("number", "rate", "flag", "nothing")] == [
        "64",
        "0.1",
        "false",
        "null",
    ]
    assert seen["PARAM_list"] == '[64,"same",{"depth":[1,null]}]'
    assert seen["PARAM_tree"] == '{"a":{"b":{}}}'
    assert seen["PARAM_quoted"] == values["quoted"]
    # Kubernetes reads $$ as $, so the program gets the text, and never another variable's value.
    assert seen["PARAM_breaking"] == "$$(NIGHTCRAWLER_EXECUTION) $$HOME `id` $$$$"


def test_a_missing_required_parameter_is_refused_by_name(shared: Team) -> None:
    workflow = a_workflow("demanding").parameter("path", required=True).step("one")
    (run,) = shared.runs(workflow)

    accepted = refusal(shared, run)

    assert accepted["reason"] == "MissingParameter"
    assert "'path' is required" in accepted["message"]


def test_a_required_parameter_with_a_default_need_not_be_given(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("easy").parameter("path", required=True, default="x").step("one"))
    shared.until_phase(run, "Completed")


def test_an_unknown_parameter_is_refused_with_the_declared_ones(shared: Team) -> None:
    workflow = a_workflow("strict").parameter("epochs").parameter("rate").step("one")
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow).with_parameters(epoch=3))

    accepted = refusal(shared, run)

    assert accepted["reason"] == "UnknownParameter"
    assert accepted["message"] == "the workflow has no parameter 'epoch'; it has: epochs, rate"


def test_a_workflow_that_declares_none_takes_any_that_can_name_a_variable(shared: Team) -> None:
    workflow = a_workflow("open").step("one")
    shared.apply(workflow)
    fine = shared.begin(an_execution(workflow).with_parameters(anything=1))
    wrong = shared.begin(an_execution(workflow).with_parameters(**{"not-a-name": 1}))

    shared.until_phase(fine, "Completed")
    accepted = refusal(shared, wrong)

    assert dict(variables(shared, fine))["PARAM_anything"] == "1"
    assert accepted["reason"] == "UnknownParameter"
    assert "cannot be named 'not-a-name'" in accepted["message"]
