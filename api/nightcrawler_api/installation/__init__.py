"""Whether the installation is well: the operator, the API server, the caches, the streams."""
