"""The cached state of the cluster: caches, the hub of their changes, the index, reachability."""
