"""What is known of the cluster: caches and indexes, and from them one frozen Snapshot."""
