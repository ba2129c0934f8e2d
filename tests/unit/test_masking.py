"""Which Secrets a run uses, and that their values are hidden however a program writes them."""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.masking import HIDDEN, Mask, Withheld, used_secrets, values_of
from nightcrawler_crds.v1alpha1 import ComputeProfileSpec
from tests.support.snapshots import a_spec, a_step

PASSWORD: Final = 'pa"ss/w ö+rd'


def key_of(secret: str, key: str) -> dict[str, Any]:
    return {"valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        f"logging in with {PASSWORD}, twice: {PASSWORD}",
        json.dumps({"message": PASSWORD}),
        json.dumps({"message": PASSWORD}, ensure_ascii=False),
        f"https://user:{quote(PASSWORD, safe='')}@host/",
        base64.b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_a_value_is_hidden_however_it_is_written(text: str) -> None:
    hidden = Mask([PASSWORD.encode() + b"\n"])(text)
    assert HIDDEN in hidden
    assert "rd" not in hidden.replace("password", "")


def test_short_values_are_left_for_they_would_hide_everything() -> None:
    assert Mask([b"abc", b"7", b"", b"\n"])("abc 7") == "abc 7"
    assert Mask([b"abcd"])("abcd 7") == f"{HIDDEN} 7"


def test_of_a_file_the_long_lines_are_hidden() -> None:
    mask = Mask([b"debug: on\nkey: 0123456789\n}\ntrue\n"])
    assert mask("true }") == "true }"
    assert mask("key: 0123456789") == HIDDEN


def test_of_two_values_that_contain_each_other_nothing_is_left() -> None:
    assert Mask([b"hunter", b"hunter2000"])("hunter2000 hunter") == f"{HIDDEN} {HIDDEN}"


def test_values_that_are_no_text_are_hidden_as_base64() -> None:
    value = bytes(range(128, 160))
    assert Mask([value])(base64.b64encode(value).decode()).startswith(HIDDEN)


def test_two_masks_together_hide_what_either_does() -> None:
    both = Mask([b"first-value"]) | Mask([b"second-value"])
    assert both("first-value second-value") == f"{HIDDEN} {HIDDEN}"
    withheld = Withheld() | Mask([b"first-value"])
    assert "withheld" in withheld("anything")


def test_a_mask_shows_nothing_of_what_it_hides() -> None:
    assert "hunter" not in repr(Mask([b"hunter2000"]))


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=4), max_size=4),
    st.text(),
    st.text(),
)
def test_no_value_is_left_in_a_text(values: list[str], before: str, after: str) -> None:
    stripped = [line for value in values if len(lines := value.split()) == 1 for line in lines]
    wanted = [value for value in stripped if len(value) >= 4 and value not in HIDDEN * 9]
    mask = Mask([value.encode() for value in wanted])
    for value in wanted:
        assert value not in mask(f"{before}{value}{after}").split(HIDDEN)


def test_all_the_ways_in_which_a_step_uses_a_secret_are_found() -> None:
    volumes = [
        {"name": "a", "secret": {"secretName": "whole"}},
        {"name": "b", "secret": {"secretName": "part", "items": [{"key": "k", "path": "p"}]}},
        {
            "name": "c",
            "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "m"}}]},
        },
    ]
    template = {
        "spec": {
            "volumes": volumes,
            "imagePullSecrets": [{"name": "registry"}],
            "initContainers": [{"name": "i", "image": "i", "env": [{"name": "A", **key_of("init", "k")}]}],
            "containers": [{"name": "step", "envFrom": [{"secretRef": {"name": "all-of-it"}}]}],
        }
    }
    step = a_step(
        env=[
            {"name": "A", **key_of("twice", "a")},
            {"name": "B", **key_of("twice", "b")},
            {"name": "C", "value": "x"},
        ],
        envFrom=[{"secretRef": {"name": "from"}}, {"configMapRef": {"name": "m"}}],
        podTemplate=template,
    )
    profile = ComputeProfileSpec.model_validate({"env": [{"name": "P", **key_of("of-profile", "k")}]})
    environment = {"spec": {"volumes": [{"name": "v", "secret": {"secretName": "of-environment"}}]}}
    assert used_secrets(a_spec(step), {"p": profile}, environment) == {
        "twice": {"a", "b"},
        "of-profile": {"k"},
        "from": None,
        "init": {"k"},
        "all-of-it": None,
        "whole": None,
        "part": {"k"},
        "projected": None,
        "of-environment": None,
    }


def test_a_secret_that_is_used_as_a_whole_and_by_one_key_is_used_as_a_whole() -> None:
    step = a_step(env=[{"name": "A", **key_of("s", "a")}], envFrom=[{"secretRef": {"name": "s"}}])
    assert used_secrets(a_spec(step), {}) == {"s": None}


def test_only_the_values_of_the_keys_that_are_used_are_hidden() -> None:
    data = {"user": b"nightcrawler", "password": b"hunter2000"}
    assert values_of(data, frozenset({"password"})) == [b"hunter2000"]
    assert len(values_of(data, None)) == 2
