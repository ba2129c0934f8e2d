"""Both programs on the command line: what they answer, and what they refuse before they begin."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from nightcrawler_api.settings import Settings as FacadeSettings
from nightcrawler_crds.commandline import default_words, read_arguments
from nightcrawler_crds.settings import CommonSettings
from nightcrawler_crds.variables import variable
from nightcrawler_operator.settings import Settings as OperatorSettings

SETTINGS: dict[str, type[CommonSettings]] = {
    "nightcrawler-operator": OperatorSettings,
    "nightcrawler-api": FacadeSettings,
}
COMMANDS = [
    *((program, [str(Path(sys.executable).parent / program)]) for program in SETTINGS),
    *(
        (program, [sys.executable, "-m", module])
        for program, module in (
            ("nightcrawler-operator", "nightcrawler_operator"),
            ("nightcrawler-api", "nightcrawler_api"),
        )
    ),
]


def run(command: Sequence[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    # A kubeconfig that is not there: whoever starts all the same says so instead of what is expected.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTCRAWLER_", "KUBE"))}
    return subprocess.run(
        [*command, *arguments],
        env={**clean, "NIGHTCRAWLER_KUBECONFIG": "/no/such/file"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_every_form_of_a_command_knows_help_and_version_and_refuses_the_rest(
    program: str, command: Sequence[str]
) -> None:
    asked = run(command, "--help")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith(f"usage: {program} ")
    for name, field in SETTINGS[program].model_fields.items():
        assert variable(name) in asked.stdout
        assert str(field.description) in asked.stdout

    version = run(command, "--version")
    assert version.returncode == 0
    assert version.stdout.startswith(f"{program} ")

    refused = run(command, "--verbose")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"{program}: there is no argument '--verbose': settings are variables of the environment; "
        f"{program} --help lists what there is\n"
    )


@pytest.mark.parametrize(
    "arguments", [["run"], ["--vers"], ["--help=all"], ["-x"], ["--"], [""], ["--port", "80"]]
)
def test_unknown_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments("a-program", "It is one.", CommonSettings, arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("a-program: ")
    assert error.endswith("a-program --help lists what there is\n")


def test_without_arguments_a_program_starts() -> None:
    read_arguments("a-program", "It is one.", CommonSettings, [])


@pytest.mark.parametrize(
    ("default", "words"),
    [
        (90.0, "1 minute 30 seconds"),
        (16, "16"),
        (True, "true"),
        ("info", "info"),
        (None, ""),
        ((), ""),
        (("RS256", "ES256"), "RS256, ES256"),
    ],
)
def test_defaults_are_shown_as_one_would_type_them(default: object, words: str) -> None:
    assert default_words(FieldInfo(default=default)) == words
