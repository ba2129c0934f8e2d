"""The container image: built with Docker or, without a registry, with buildah; given to a cluster."""
