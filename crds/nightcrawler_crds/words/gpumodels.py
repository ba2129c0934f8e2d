"""Which GPUs of a cluster are meant by the words for a model: "A100", "NVIDIA A100 80GB", "A100 MIG 1g.5gb".

Nodes say what they have in the label ``nvidia.com/gpu.product`` (GPU feature discovery): a name of
words joined by dashes, with ``-SHARED`` at its end where GPUs are shared by time slicing. A GPU that
is cut into MIG slices is published in one of two ways, as its node is configured:

- strategy ``mixed``: the product is that of the whole GPU, slices are a
  resource of their own, ``nvidia.com/mig-1g.5gb``;
- strategy ``single``: the product ends with ``-MIG-1g.5gb``, slices are ``nvidia.com/gpu``.

https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.words import Gpu

_LEFT_OUT: Final = frozenset({"gpu", "gpus"})
_ONLY_IF_ASKED_FOR: Final = frozenset({"shared", "mig"})
_MIG: Final = "mig"
_PROFILE: Final = re.compile(r"(?:[0-9]+c\.)?[0-9]+g\.[0-9]+gb(?:\.[a-z]+)*")
"""A slice's size: 1g.5gb; with an attribute, as resources write it, 1g.10gb.me."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The GPUs that a container is to get: how many of which resource, and on nodes with which products.

    `products` is None where any node will do, and empty where no node has such a GPU.
    """

    count: int
    resource: str = names.GPU_RESOURCE
    products: tuple[str, ...] | None = None


def wanted(gpu: Gpu, there: Collection[str]) -> Wanted:
    """What GPUs in words come to among the products that the cluster's nodes have."""
    asked = _words(gpu.model or "")
    if not asked:
        return Wanted(gpu.count)
    profile = next((word for word in asked if _PROFILE.fullmatch(word)), None)
    matching = tuple(sorted(product for product in there if _matches(asked, product)))
    if profile is None or matching:
        return Wanted(gpu.count, products=matching)
    # No product is itself such a slice: it is a resource of its own, of nodes that have the whole GPU.
    resource = f"{names.MIG_RESOURCE_PREFIX}{profile}"
    whole = [word for word in asked if word not in (_MIG, profile)]
    if not whole:
        return Wanted(gpu.count, resource)
    return Wanted(
        gpu.count, resource, tuple(sorted(product for product in there if _matches(whole, product)))
    )


def model_matches(model: str, product: str) -> bool:
    """Whether a product is of a model: the model's words are among the product's, in order and in any case.

    ``NVIDIA A100 80GB`` is ``NVIDIA-A100-SXM4-80GB``; ``L4`` is not ``L40``. A product that is shared
    or a MIG slice is only meant by words that say so.
    """
    asked = _words(model)
    return bool(asked) and _matches(asked, product)


def _matches(asked: list[str], product: str) -> bool:
    there = _words(product)
    named = {*asked, _MIG} if any(_PROFILE.fullmatch(word) for word in asked) else set(asked)
    if any(word in there and word not in named for word in _ONLY_IF_ASKED_FOR):
        return False
    rest = iter(there)
    return all(word in rest for word in asked)


def _words(name: str) -> list[str]:
    return [word for word in name.lower().replace("-", " ").split() if word not in _LEFT_OUT]
