"""Parameters reach programs exactly as they were given, whatever is in them, and reach nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from tests.support.builders import Manifest, WorkflowBuilder, a_workflow
from tests.support.real_node import PYTHON, Installation, Run, python, shell

pytestmark = pytest.mark.real_node

SECRET: Final = "hunter2-which-no-log-may-show"
VALUES: Final[dict[str, Any]] = {
    "secret": "$(SECRET)",
    "escaped": "$$(SECRET)",
    "thrice": "$$$(SECRET)$$$",
    "earlier": "$(PARAM_secret)",
    "later": "$(PARAM_zzz)",
    "unclosed": "$(",
    "dollars": "$ $$ $$$ ${SECRET} $SECRET",
    "backticks": "`echo $SECRET`",
    "substitution": "$(echo $SECRET)",
    "quotes": """'; echo "$SECRET"; ' " \\" \\""",
    "lines": "first\nsecond\r\n\tthird\n",
    "emoji": "🌙🕷️ Ω ñ \u202e\u200b",
    "control": "\x01\x1b[31mred\x7f",
    "empty": "",
    "spaces": "  both ends  ",
    "template": "{{ .SECRET }} {{inputs.parameters.x}} %(SECRET)s {SECRET}",
    "path": "../../etc/passwd",
    "option": "--help",
    "number": 64,
    "rate": 0.1,
    "large": 2**53,
    "flag": False,
    "nothing": None,
    "object": {"a": {"b": ["$(SECRET)", 'x"y', "\n", None, 1.5, {}]}, "🌙": []},
    "list": ["$(SECRET)", "`id`"],
    "text_of_json": '{"a": "$(SECRET)"}',
    "zzz": "the last one",
}
_PIECE: Final = "Ω$(SECRET) '`$$` "
LONG: Final = _PIECE * (30 * 1024 // len(_PIECE.encode()))
"""30 KiB in UTF-8: almost all that a run can be given."""

SHOWS: Final = """
import base64, json, os
print(json.dumps({
    name.removeprefix("PARAM_"): base64.b64encode(value).decode()
    for name, value in ((os.fsdecode(name), value) for name, value in os.environb.items())
    if name.startswith("PARAM_")
}))
"""


def secretive(name: str) -> WorkflowBuilder:
    """A workflow whose steps have a Secret in their environment, and never print it."""
    env: list[Manifest] = [
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "of-the-house", "key": "password"}}},
        {"name": "REPORT", "value": "report of $(PARAM_secret).pdf"},
        {"name": "OWN", "value": "$(SECRET)"},
    ]
    return (
        a_workflow(name, order="Graph")
        .step("Show", image=PYTHON, command=python(SHOWS), env=env)
        .step("Argument", command=["echo"], args=["<$(PARAM_secret)>", "<$(PARAM_quotes)>"], env=env)
        .step(
            "Shell", command=shell('printf "%s" "$PARAM_backticks" "$PARAM_quotes" "$PARAM_dollars"'), env=env
        )
        .step("Variable", command=shell('echo "$REPORT"; test "$OWN" = "$SECRET" && echo the same'), env=env)
    )


@pytest.fixture(scope="module")
def runs(here: Installation) -> dict[str, Run]:
    """One run with all the values, one with a value as long as a run can be given."""
    here.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "of-the-house"},
            "stringData": {"password": SECRET},
        }
    )
    some = here.launch(secretive("awkward"), given=VALUES)
    return some | here.launch(secretive("long"), given={"long": LONG})


def shown(run: Run) -> dict[str, bytes]:
    """The values as the program found them in its environment."""
    status = run.ended()
    assert status["phase"] == "Completed", status["message"]
    return {name: base64.b64decode(value) for name, value in json.loads(run.log("Show")).items()}


@pytest.mark.parametrize("name", [name for name, value in VALUES.items() if isinstance(value, str)])
def test_a_text_reaches_the_program_byte_by_byte(runs: dict[str, Run], name: str) -> None:
    assert shown(runs["awkward"])[name] == VALUES[name].encode()


@pytest.mark.parametrize("name", [name for name, value in VALUES.items() if not isinstance(value, str)])
def test_other_values_reach_the_program_as_json(runs: dict[str, Run], name: str) -> None:
    read = json.loads(shown(runs["awkward"])[name])
    assert (read, type(read)) == (VALUES[name], type(VALUES[name]))


def test_no_value_is_lost_and_none_is_added(runs: dict[str, Run]) -> None:
    assert set(shown(runs["awkward"])) == set(VALUES)


def test_a_value_of_thirty_kibibytes_arrives_whole(runs: dict[str, Run]) -> None:
    assert 30_700 < len(LONG.encode()) <= 30 * 1024
    assert shown(runs["long"]) == {"long": LONG.encode()}


def test_a_value_in_an_argument_is_filled_in_once_and_is_never_code(runs: dict[str, Run]) -> None:
    runs["awkward"].ended()
    assert runs["awkward"].log("Argument") == f"<{VALUES['secret']}> <{VALUES['quotes']}>\n"


def test_a_quoted_value_is_never_code_in_a_shell(runs: dict[str, Run]) -> None:
    runs["awkward"].ended()
    assert runs["awkward"].log("Shell") == VALUES["backticks"] + VALUES["quotes"] + VALUES["dollars"]


def test_a_variable_of_the_author_may_hold_a_parameter_and_a_secret(runs: dict[str, Run]) -> None:
    runs["awkward"].ended()
    assert runs["awkward"].log("Variable") == "report of $(SECRET).pdf\nthe same\n"


def test_a_declared_parameter_without_a_value_is_an_empty_variable(here: Installation) -> None:
    env: list[Manifest] = [{"name": "REPORT", "value": "<$(PARAM_x)>"}]
    workflow = (
        a_workflow("valueless", order="Graph")
        .parameter("x")
        .step("Argument", command=["echo"], args=["<$(PARAM_x)>"])
        .step("Shell", command=shell('echo "<$PARAM_x>${PARAM_x+set}"'))
        .step("Variable", command=shell('echo "$REPORT"'), env=env)
    )
    run = here.launch(workflow)["valueless"]
    status = run.ended()
    assert status["phase"] == "Completed", status["message"]
    assert {step: run.log(step) for step in ("Argument", "Shell", "Variable")} == {
        "Argument": "<>\n",
        "Shell": "<>set\n",
        "Variable": "<>\n",
    }


@pytest.mark.parametrize("step", ["Show", "Argument", "Shell", "Variable"])
def test_no_parameter_reveals_a_secret(runs: dict[str, Run], step: str) -> None:
    runs["awkward"].ended()
    said = runs["awkward"].log(step)
    encoded = [json.loads(said).values()] if step == "Show" else []
    assert SECRET not in said
    assert not any(SECRET.encode() in base64.b64decode(value) for values in encoded for value in values)


def test_the_facade_shows_long_lines_and_awkward_parameters_whole(
    here: Installation, runs: dict[str, Run]
) -> None:
    runs["awkward"].ended()
    answer = here.http.get("/api/workflows/awkward/executions/awkward").raise_for_status().json()
    assert answer["parameters"] == VALUES
    (show,) = [step for step in answer["stepExecutions"] if step["name"] == "Show"]
    assert [line["message"] for line in show["logs"]] == runs["awkward"].log("Show").splitlines()
