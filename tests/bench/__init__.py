"""What Nightcrawler costs and how quick it is, measured on a fresh control plane with simulated nodes.

`python -m tests.bench` (or `make bench`) runs the rows that are named, or all of them, several times, and
writes `build/bench.json` (`{row: {key: median}}`) and `build/bench-details.json` (all of every run).
`--report` makes `docs/performance.md` of them. Nothing here asserts on a figure; what a figure means stands
in the docstring of its row.
"""
