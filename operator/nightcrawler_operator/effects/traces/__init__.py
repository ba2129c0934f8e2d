"""Traces of runs: what has to be collected for them, and their export."""
