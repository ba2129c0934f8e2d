"""Which of the cluster's GPUs the words for a model mean."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds import words
from nightcrawler_crds.words.gpumodels import Declared, Wanted, model_matches, wanted

GPU: Final = "nvidia.com/gpu"
A100: Final = "NVIDIA-A100-SXM4-80GB"
SLICE: Final = f"{A100}-MIG-1g.5gb"
SHARED: Final = "Tesla-T4-SHARED"


@pytest.mark.parametrize(
    ("model", "product", "matches"),
    [
        ("A100", A100, True),
        ("a100", A100, True),
        ("GPU A100", A100, True),
        ("NVIDIA A100", A100, True),
        ("NVIDIA A100 80GB", A100, True),
        ("nvidia-a100-80gb", A100, True),
        ("NVIDIA GPU A100-SXM4-80GB GPUs", A100, True),
        ("SXM4 80GB", A100, True),
        ("NVIDIA A100", "NVIDIA-A100", True),
        ("RTX 3090", "NVIDIA-GeForce-RTX-3090", True),
        ("A100 NVIDIA", A100, False),
        ("NVIDIA A100 40GB", A100, False),
        ("A100 A100", A100, False),
        ("A10", A100, False),
        ("A100", "NVIDIA-A10", False),
        ("L4", "NVIDIA-L40", False),
        ("L4", "NVIDIA-L4", True),
        ("L40", "NVIDIA-L40S", False),
        ("A100", SLICE, False),
        ("A100 MIG", SLICE, True),
        ("A100 MIG 1g.5gb", SLICE, True),
        ("A100 1g.5gb", SLICE, True),
        ("A100-MIG-1g.5gb", SLICE, True),
        ("A100 MIG 2g.10gb", SLICE, False),
        ("A100 MIG", A100, False),
        ("T4", SHARED, False),
        ("T4 shared", SHARED, True),
        ("T4 SHARED", "Tesla-T4", False),
        ("A100 1g.5gb", f"{SLICE}-SHARED", False),
        ("A100 1g.5gb SHARED", f"{SLICE}-SHARED", True),
        ("", A100, False),
        ("GPU", A100, False),
    ],
)
def test_a_model_selects_products_that_have_its_words_in_order(
    model: str, product: str, matches: bool
) -> None:
    assert model_matches(model, product) is matches


@pytest.mark.parametrize(
    ("written", "there", "expected"),
    [
        (8, [A100], Wanted(8)),
        ("8 GPUs", [A100], Wanted(8)),
        ("1x A100", [A100, "NVIDIA-L4"], Wanted(1, GPU, (A100,))),
        ("2x A100", [SLICE, A100], Wanted(2, GPU, (A100,))),
        ("A100", ["NVIDIA-H100-PCIe"], Wanted(1, GPU, ())),
        # Whole GPUs on the nodes' labels: slices are a resource of their own (strategy mixed).
        ("2x A100 MIG 1g.5gb", [A100, "NVIDIA-L4"], Wanted(2, "nvidia.com/mig-1g.5gb", (A100,))),
        ("A100-MIG-1g.5gb", [A100], Wanted(1, "nvidia.com/mig-1g.5gb", (A100,))),
        ("A100 1G.5GB", [A100], Wanted(1, "nvidia.com/mig-1g.5gb", (A100,))),
        ("2x A100 MIG 1g.5gb", ["NVIDIA-L4"], Wanted(2, "nvidia.com/mig-1g.5gb", ())),
        ("MIG 1g.5gb", [A100], Wanted(1, "nvidia.com/mig-1g.5gb")),
        ("MIG 1g.10gb.me", [], Wanted(1, "nvidia.com/mig-1g.10gb.me")),
        ("MIG 1c.3g.20gb", [], Wanted(1, "nvidia.com/mig-1c.3g.20gb")),
        # The label is that of the slice: nodes publish slices as if they were GPUs (strategy single).
        ("2x A100 MIG 1g.5gb", [SLICE, A100], Wanted(2, GPU, (SLICE,))),
        ("MIG 1g.5gb", [SLICE], Wanted(1, GPU, (SLICE,))),
        ("A100 MIG", [A100, SLICE], Wanted(1, GPU, (SLICE,))),
    ],
)
def test_words_become_a_count_a_resource_and_the_products_of_nodes(
    written: words.Word, there: list[str], expected: Wanted
) -> None:
    gpu = words.parse_gpu(written)
    assert gpu is not None
    assert wanted(gpu, there) == expected


parts = st.lists(
    st.sampled_from(["NVIDIA", "A100", "L4", "L40", "RTX", "80GB", "SXM4"]), min_size=1, max_size=5
)


@given(parts, st.data())
def test_any_words_of_a_product_in_order_select_it(product: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(product), max_size=len(product)))
    asked = [word for word, keep in zip(product, kept, strict=True) if keep]
    case = data.draw(st.sampled_from([str.lower, str.upper, str.title]))
    said = " ".join(["GPU", *(case(word) for word in asked)])
    assert model_matches(said, "-".join(product)) is bool(asked)
    for mark in ("SHARED", "MIG-1g.5gb"):
        assert not model_matches(said, "-".join([*product, mark]))


@given(parts, parts)
def test_a_model_with_a_word_that_a_product_lacks_never_selects_it(
    asked: list[str], product: list[str]
) -> None:
    if set(asked) - set(product):
        assert not model_matches(" ".join(asked), "-".join(product))


AMD: Final = Declared("AMD Instinct MI300X", "amd.com/gpu", {"accelerator": "mi300x"})
FROM_ZERO: Final = Declared("NVIDIA H100 80GB", node_selector={"pool": "h100"})
TO_COME: Final = Declared("NVIDIA-L40S")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("2x MI300X", Wanted(2, "amd.com/gpu", node_selector={"accelerator": "mi300x"})),
        ("AMD MI300X", Wanted(1, "amd.com/gpu", node_selector={"accelerator": "mi300x"})),
        ("8x H100", Wanted(8, node_selector={"pool": "h100"})),
        ("L40S", Wanted(1, products=("NVIDIA-L40S",))),
        ("L40", Wanted(1, products=())),
        ("A100", Wanted(1, products=(A100,))),
        ("4", Wanted(4, "amd.com/gpu")),
    ],
)
def test_declared_models_come_before_the_products_of_nodes(word: str, expected: Wanted) -> None:
    asked = words.parse_gpu(word)
    assert asked is not None
    assert wanted(asked, [A100], [AMD, FROM_ZERO, TO_COME]) == expected
