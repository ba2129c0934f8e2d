"""HTTP of every route: the protocol, origins, HEAD, latency and ETags, and how JSON bodies are read."""
