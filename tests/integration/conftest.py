"""What the integration tests share."""

from tests.support.cluster import cluster, namespace
from tests.support.environments import add_environment
from tests.support.facade import served
from tests.support.history import histories_end
from tests.support.nodes import add_node, nodes
from tests.support.operator import operator, operators
from tests.support.proxy import proxy
from tests.support.team import shared, team

__all__ = [
    "add_environment",
    "add_node",
    "cluster",
    "histories_end",
    "namespace",
    "nodes",
    "operator",
    "operators",
    "proxy",
    "served",
    "shared",
    "team",
]
