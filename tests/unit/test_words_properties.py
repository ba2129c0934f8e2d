"""Properties of the words for amounts: pattern and parser agree, and what is written reads back."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from nightcrawler_crds import words
from nightcrawler_crds.words import Bytes, Cpu, Gpu, WordError, WordRangeError

Parser = Callable[[Any], object]

PARSERS: dict[str, tuple[Parser, str]] = {
    "cpu": (words.parse_cpu, words.CPU_PATTERN),
    "memory": (words.parse_memory, words.MEMORY_PATTERN),
    "gpu": (words.parse_gpu, words.GPU_PATTERN),
    "duration": (words.parse_duration, words.DURATION_PATTERN),
}
ADAPTERS: dict[str, TypeAdapter[str]] = {
    kind: TypeAdapter(Annotated[str, Field(pattern=pattern)]) for kind, (_, pattern) in PARSERS.items()
}
every_kind = pytest.mark.parametrize("kind", list(PARSERS))

# Python's `$`, unlike that of ECMA and RE2, also stands before a last line feed.
of_the_pattern = {
    kind: st.from_regex(pattern, fullmatch=True).filter(lambda text: not text.endswith("\n"))
    for kind, (_, pattern) in PARSERS.items()
}
# Random text almost never looks like a word; text made of the pieces of words often nearly does.
pieces = (
    "0 1 8 16 007 1.5 0.0005 . - + , e 1e9 E x X m ms M Mi MiB mb k K Ki Gi GB gib B bytes T Pi core cores "
    "CPU vcpu GPU GPUs None none null NVIDIA A100 Tesla-T4 s sec seconds min minutes h hours day weeks month"
)
nearly_words = st.lists(st.sampled_from([*pieces.split(), " ", " ", "\n"]), max_size=9).map("".join)
any_text = st.text(max_size=100) | nearly_words


@every_kind
@given(data=st.data())
def test_text_of_the_pattern_parses_or_is_out_of_bounds(kind: str, data: st.DataObject) -> None:
    parse, _ = PARSERS[kind]
    text = data.draw(of_the_pattern[kind])
    with suppress(WordRangeError):
        parse(text)


@every_kind
@given(text=any_text)
@example(text="16\n")
@example(text="\ud800")
@example(text="9" * 5000)
def test_text_that_parses_is_of_the_pattern_and_all_other_text_is_a_word_error(kind: str, text: str) -> None:
    parse, pattern = PARSERS[kind]
    inside = re.fullmatch(pattern, text) is not None
    try:
        parse(text)
    except WordRangeError:
        assert inside or len(text) > words.WORD_MAX_LENGTH
    except WordError:
        assert not inside
    else:
        assert inside


@every_kind
@given(number=st.integers(-10, 2000) | st.integers() | st.floats(0, 2000) | st.floats())
def test_a_number_means_what_its_text_means(kind: str, number: float) -> None:
    parse, pattern = PARSERS[kind]
    text = repr(number)
    if re.fullmatch(pattern, text) and len(text) <= words.WORD_MAX_LENGTH:
        assert _outcome(parse, number) == _outcome(parse, text)
    else:
        _outcome(parse, number)


def _outcome(parse: Parser, word: words.Word) -> object:
    try:
        return parse(word)
    except WordError as error:
        return type(error)


@every_kind
def test_patterns_use_only_syntax_common_to_ecma_re2_and_rust(kind: str) -> None:
    pattern = PARSERS[kind][1]
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    assert pattern.isascii()
    assert set(re.findall(r"\(\?.", pattern)) <= {"(?:"}
    assert set(re.findall(r"\\.", pattern)) <= {r"\.", r"\+"}
    assert not re.search(r"[*+?}]\+|\(\?P|\*\*", pattern.replace(r"\+", "")), "possessive or doubled repeats"


@every_kind
@given(text=nearly_words)
def test_the_linear_time_engine_of_pydantic_matches_the_same_text(kind: str, text: str) -> None:
    pattern = PARSERS[kind][1]
    try:
        ADAPTERS[kind].validate_python(text)
    except ValidationError:
        assert not re.fullmatch(pattern, text)
    else:
        assert re.fullmatch(pattern, text)


@given(st.integers(1, words.MAX_CORES * 1000).map(Cpu))
def test_a_cpu_quantity_reads_back_as_the_same_cpu(cpu: Cpu) -> None:
    assert words.parse_cpu(cpu.quantity) == cpu
    assert _quantity(cpu.quantity) * 1000 == cpu.millicores


suffixes = {"m": Decimal("0.001"), "": Decimal(1)}
suffixes |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTP", 1)}
suffixes |= {suffix + "i": Decimal(1024) ** power for power, suffix in enumerate("KMGTP", 1)}
# Round numbers are where a suffix can go wrong, and are rare at random.
sizes = st.builds(
    lambda size, scale: min(int(size * scale), words.MAX_BYTES),
    st.integers(1, 5000),
    st.sampled_from([scale for suffix, scale in suffixes.items() if suffix != "m"]),
)


def _quantity(quantity: str) -> Decimal:
    """Kubernetes' reading of a quantity, apart from the code under test."""
    match = re.fullmatch(r"([0-9]+)([a-zA-Z]*)", quantity)
    assert match, quantity
    return Decimal(match[1]) * suffixes[match[2]]


@given(sizes | st.integers(1, words.MAX_BYTES))
def test_a_memory_quantity_is_exactly_the_bytes_and_no_suffix_is_shorter(count: int) -> None:
    quantity = Bytes(count).quantity
    assert _quantity(quantity) == count
    assert words.parse_memory(quantity) == Bytes(count)
    exact = [f"{count // scale}{suffix}" for suffix, scale in suffixes.items() if count % scale == 0]
    assert len(quantity) == min(map(len, exact))


@given(
    st.decimals(0, 1000, places=3),
    st.sampled_from(["kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]),
    st.sampled_from(["", " ", "  "]),
)
def test_a_fraction_of_a_unit_is_rounded_up_to_the_next_byte(number: Decimal, unit: str, gap: str) -> None:
    exact = number * suffixes[unit.removesuffix("B")]
    expected = int(exact.to_integral_value(ROUND_CEILING))
    assert words.parse_memory(f"{number:f}{gap}{unit}") == (Bytes(expected) if expected else None)


@given(
    st.builds(
        Gpu,
        st.integers(1, words.MAX_GPUS),
        st.none() | st.sampled_from(["NVIDIA A100", "Tesla-T4", "NVIDIA-H100-80GB-HBM3", "TITAN RTX"]),
    )
)
def test_the_words_of_gpus_read_back_as_the_same_gpus(gpu: Gpu) -> None:
    assert words.parse_gpu(gpu.words) == gpu


@given(st.integers(0, words.MAX_DURATION_SECONDS * 1000).map(lambda milliseconds: milliseconds / 1000))
def test_the_words_of_a_duration_read_back_as_the_same_duration(seconds: float) -> None:
    assert words.parse_duration(words.format_duration_words(seconds)) == seconds


@pytest.mark.parametrize("form", ["{} GB", "{}Mi", "{}k"])
@given(numbers=st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)))
def test_more_memory_written_is_more_memory_requested(form: str, numbers: tuple[int, int]) -> None:
    less, more = sorted(numbers)
    small, large = words.parse_memory(form.format(less)), words.parse_memory(form.format(more))
    assert small is not None
    assert large is not None
    assert (small < large) is (less < more)


@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_a_clock_reads_back_as_the_seconds_it_shows(seconds: int, more: int) -> None:
    for clock in (words.clock_short, words.clock_long):
        assert _clock_seconds(clock(seconds)) == seconds
        assert _clock_seconds(clock(seconds + more)) == seconds + more


def _clock_seconds(text: str) -> int:
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return total
