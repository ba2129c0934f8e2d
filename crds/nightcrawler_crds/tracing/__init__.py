"""Traces of runs, built from what is recorded: whoever builds one, and whenever, builds the same. Pure."""
