"""The words for amounts: what they mean, what is refused, and what the refusal says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from nightcrawler_crds import words
from nightcrawler_crds.words import Bytes, Gpu, WordError, WordRangeError

Parser = Callable[[Any], object]

PARSERS: dict[str, tuple[Parser, str]] = {
    "cpu": (words.parse_cpu, words.CPU_FORMS),
    "memory": (words.parse_memory, words.MEMORY_FORMS),
    "gpu": (words.parse_gpu, words.GPU_FORMS),
    "duration": (words.parse_duration, words.DURATION_FORMS),
}


@pytest.mark.parametrize(
    ("word", "quantity"),
    [
        ("16 cores", "16"), ("1 core", "1"), ("16", "16"), (16, "16"), ("16cores", "16"), ("2 Cores", "2"),
        (0.5, "500m"), ("0.5", "500m"), ("500m", "500m"), ("250 m", "250m"), ("1500m", "1500m"),
        ("2000m", "2"), (0.1, "100m"), (2.0, "2"), ("2 CPUs", "2"), ("4 vCPU", "4"), ("0.001", "1m"),
    ],
)  # fmt: skip
def test_cpu_words_become_kubernetes_quantities(word: words.Word, quantity: str) -> None:
    cpu = words.parse_cpu(word)
    assert cpu is not None
    assert cpu.quantity == quantity


@pytest.mark.parametrize(
    ("word", "count", "quantity"),
    [
        ("64 GB", 64 * 10**9, "64G"), ("64GB", 64 * 10**9, "64G"), ("64 gb", 64 * 10**9, "64G"),
        ("64G", 64 * 10**9, "64G"), ("64Gi", 64 * 2**30, "64Gi"), ("64 GiB", 64 * 2**30, "64Gi"),
        ("128 MB", 128 * 10**6, "128M"), ("512Mi", 512 * 2**20, "512Mi"), ("500M", 500 * 10**6, "500M"),
        ("500 mb", 500 * 10**6, "500M"), ("512mib", 512 * 2**20, "512Mi"), ("1.5 GB", 1_500_000_000, "1500M"),
        ("1.5Gi", 1_610_612_736, "1536Mi"), ("1024Mi", 2**30, "1Gi"), ("8 kB", 8000, "8k"),
        ("8K", 8000, "8k"),
        ("8Ki", 8192, "8Ki"), ("2 TB", 2 * 10**12, "2T"), ("2Ti", 2 * 2**40, "2Ti"), ("3P", 3 * 10**15, "3P"),
        ("3 PiB", 3 * 2**50, "3Pi"), ("1e9", 10**9, "1G"), ("1.5E+3", 1500, "1500"), ("77 bytes", 77, "77"),
        ("1 B", 1, "1"), (268_435_456, 2**28, "256Mi"), (1e9, 10**9, "1G"),
        ("0.1Gi", 107_374_183, "107374183"),
    ],
)  # fmt: skip
def test_memory_words_are_bytes_and_become_the_shortest_exact_quantity(
    word: words.Word, count: int, quantity: str
) -> None:
    memory = words.parse_memory(word)
    assert memory == Bytes(count)
    assert memory.quantity == quantity


@pytest.mark.parametrize(
    ("word", "gpu"),
    [
        ("8x NVIDIA A100", Gpu(8, "NVIDIA A100")), ("1x NVIDIA A100", Gpu(1, "NVIDIA A100")),
        ("8 x NVIDIA A100", Gpu(8, "NVIDIA A100")), ("8X  NVIDIA   A100", Gpu(8, "NVIDIA A100")),
        ("8xA100", Gpu(8, "A100")), ("2x Tesla-T4", Gpu(2, "Tesla-T4")),
        ("1x TITAN RTX", Gpu(1, "TITAN RTX")),
        ("NVIDIA A100", Gpu(1, "NVIDIA A100")), ("8", Gpu(8)), (8, Gpu(8)), (8.0, Gpu(8)), ("08", Gpu(8)),
        ("8 GPUs", Gpu(8)), ("1 GPU", Gpu(1)), ("2x GPU", Gpu(2)), ("1024", Gpu(1024)),
        ("2x gpu GPUs", Gpu(2)), ("GPU A100", Gpu(1, "GPU A100")),
        ("1x A100-MIG-1g.5gb", Gpu(1, "A100-MIG-1g.5gb")),
    ],
)  # fmt: skip
def test_gpu_words_are_a_count_and_a_model(word: words.Word, gpu: Gpu) -> None:
    assert words.parse_gpu(word) == gpu


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("2 hours", 7200), ("1 hour", 3600), ("30 seconds", 30), ("1h30m", 5400), ("90s", 90), ("500ms", 0.5),
        ("1 day", 86400), ("1 hour 30 minutes", 5400), ("2h 15m", 8100), ("10 min", 600), ("3 Days", 259_200),
        ("2 hrs", 7200), ("1.5 hours", 5400), ("1 week", 604_800), ("1m30s250ms", 90.25), ("1.6 ms", 0.002),
        ("30m 1h", 5400),
        ("90", 90), (90, 90), (0.5, 0.5), (0.1 + 0.2, 0.3), ("0 seconds", 0), (0, 0),
        ("365 days", 31_536_000),
    ],
)  # fmt: skip
def test_duration_words_are_seconds(word: words.Word, seconds: float) -> None:
    assert words.parse_duration(word) == seconds


@pytest.mark.parametrize("kind", ["cpu", "memory", "gpu"])
@pytest.mark.parametrize("word", ["None", "none", "NONE", "0", 0, 0.0])
def test_none_and_zero_ask_for_nothing(kind: str, word: words.Word) -> None:
    assert PARSERS[kind][0](word) is None


@pytest.mark.parametrize("word", ["0 cores", "0m", "0.000"])
def test_no_cores_in_any_form_ask_for_nothing(word: str) -> None:
    assert words.parse_cpu(word) is None


def test_none_of_a_model_asks_for_nothing() -> None:
    assert words.parse_gpu("0x NVIDIA A100") is None


@pytest.mark.parametrize(
    ("kind", "word", "reason"),
    [
        ("cpu", "sixteen", "it is not understood"),
        ("cpu", "", "it is empty"),
        ("cpu", " 16", "it begins or ends with a space"),
        ("cpu", "16\n", "it begins or ends with a space"),
        ("cpu", "-1", "it is negative"),
        ("cpu", -1, "it is negative"),
        ("cpu", "1,5", "numbers take a point for decimals"),
        ("cpu", "500M", 'for thousandths of a core write "500m"'),
        ("cpu", "٣", "it is not understood"),
        ("cpu", float("nan"), "it is not a finite number"),
        ("memory", "500m", 'for megabytes write "500M" or "500Mi"'),
        ("memory", "1,024 MB", "nothing for thousands"),
        ("memory", "64 GBit", "it is not understood"),
        ("memory", float("inf"), "it is not a finite number"),
        ("gpu", "0.5", "GPUs are given whole"),
        ("gpu", "1.5x NVIDIA A100", "GPUs are given whole"),
        ("gpu", "8 NVIDIA A100", '"8x NVIDIA A100"'),
        ("gpu", "any", 'needs a count before it, such as "1x any"'),
        ("gpu", "1x NVIDIA A100; rm", "it is not understood"),
        ("gpu", "2x 1g.5gb", 'as "1x MIG 1g.5gb"'),
        ("gpu", "1g.5gb", 'as "1x MIG 1g.5gb"'),
        ("gpu", False, "it is neither text nor a number"),
        ("gpu", None, "it is neither text nor a number"),
        ("duration", "5M", 'minutes as "m" or "minutes"'),
        ("duration", "1 month", "months and years differ in length"),
        ("duration", "1h 30", "it is not understood"),
        ("duration", "None", "it is not understood"),
        ("duration", -0.5, "it is negative"),
        ("duration", ["1h"], "it is neither text nor a number"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_and_what_is_accepted(kind: str, word: Any, reason: str) -> None:
    parse, forms = PARSERS[kind]
    with pytest.raises(WordError) as refusal:
        parse(word)
    assert not isinstance(refusal.value, WordRangeError)
    message = str(refusal.value)
    assert message.startswith(f"{kind} {word!r} cannot be used: ")
    assert reason in message
    assert message.endswith(f"Accepted: {forms}.")


@pytest.mark.parametrize(
    ("kind", "word", "reason"),
    [
        ("cpu", "0.0001", 'finer than "1m"'),
        ("cpu", "0.5m", 'finer than "1m"'),
        ("cpu", 100_001, "more than 100,000 cores"),
        ("memory", 0.5, "a unit such as GB may be missing"),
        ("memory", "1.5", "a unit such as GB may be missing"),
        ("memory", "513Pi", "more than 512Pi"),
        ("memory", "1e99", "more than 512Pi"),
        ("gpu", 1025, "more than 1,024 GPUs"),
        ("gpu", 0.5, "GPUs are given whole"),
        ("gpu", "1x A" + "0" * 60, "longer than 63 characters"),
        ("duration", "366 days", "more than 365 days"),
        ("duration", 1e300, "more than 365 days"),
    ],
)  # fmt: skip
def test_an_amount_out_of_bounds_is_refused_as_such(kind: str, word: words.Word, reason: str) -> None:
    parse, forms = PARSERS[kind]
    with pytest.raises(WordRangeError, match=re.escape(reason)) as refusal:
        parse(word)
    assert str(refusal.value).endswith(f"Accepted: {forms}.")


def test_a_number_too_long_to_print_is_refused_without_printing_it() -> None:
    with pytest.raises(WordRangeError, match="cpu of more than 64 bits cannot be used"):
        words.parse_cpu(10**5000)


def test_refusals_name_the_thing_they_were_asked_for() -> None:
    with pytest.raises(WordError, match=r"^storage 'lots' cannot be used"):
        words.parse_memory("lots", what="storage")
    with pytest.raises(WordError, match=r"^retryDelay 'soon' cannot be used"):
        words.parse_duration("soon", what="retryDelay")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7200, "2 hours"), (30, "30 seconds"), (5400, "1 hour 30 minutes"), (1, "1 second"), (60, "1 minute"),
        (86400, "24 hours"), (172_800, "2 days"), (0.5, "500 milliseconds"), (0, "0 seconds"),
        (-5, "0 seconds"),
        (694_861.001, "8 days 1 hour 1 minute 1 second 1 millisecond"),
    ],
)  # fmt: skip
def test_durations_are_written_in_words(seconds: float, text: str) -> None:
    assert words.format_duration_words(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "short", "long"),
    [
        (0, "00:00", "00:00:00"), (625, "10:25", "00:10:25"), (59.999, "00:59", "00:00:59"),
        (3599, "59:59", "00:59:59"), (3600, "1:00:00", "01:00:00"), (4585, "1:16:25", "01:16:25"),
        (215_999, "59:59:59", "59:59:59"), (216_000, "60:00:00", "60:00:00"),
        (360_000, "100:00:00", "100:00:00"), (-3, "00:00", "00:00:00"), (-0.2, "00:00", "00:00:00"),
    ],
)  # fmt: skip
def test_clocks_show_whole_seconds_that_have_passed(seconds: float, short: str, long: str) -> None:
    assert words.clock_short(seconds) == short
    assert words.clock_long(seconds) == long


@pytest.mark.parametrize("word", [0, 0.0, "0", "0s", "0h 0m", "0.000s", "0.0001 ms", 0.0001, 0.0006])
def test_a_timeout_of_zero_is_refused(word: words.Word) -> None:
    with pytest.raises(words.WordError, match="it is no time at all; leave it out for the default"):
        words.parse_timeout(word, what="timeout")


@pytest.mark.parametrize("word", ["0h 5m", "1h 0m", "0.5s", 0.001, "10", "0ms1s"])
def test_a_timeout_is_a_duration_of_which_some_part_is_not_zero(word: words.Word) -> None:
    assert words.parse_timeout(word) == words.parse_duration(word) > 0
    assert not isinstance(word, str) or re.fullmatch(words.TIMEOUT_PATTERN, word)


@pytest.mark.parametrize("word", ["0", "0s", "0h 0m", "0.000s"])
def test_no_zero_is_in_the_pattern_of_timeouts(word: str) -> None:
    assert re.fullmatch(words.DURATION_PATTERN, word)
    assert not re.fullmatch(words.TIMEOUT_PATTERN, word)
