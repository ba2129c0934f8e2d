"""One module a kind of work: observe, decide, act."""
