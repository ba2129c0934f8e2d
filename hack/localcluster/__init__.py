"""A real Kubernetes cluster with nothing but Go and Python to start from."""

from .cluster import LocalCluster
from .errors import ClusterError
from .fakenodes import FakeNode

__all__ = ["ClusterError", "FakeNode", "LocalCluster"]
