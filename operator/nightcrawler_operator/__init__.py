"""The operator: turns executions of workflows into Jobs and records how they go.

The way of the data: `handlers` (event) → `workqueue` (queue) → `reconcilers`, which
`observe`, let `decisions` decide, and `act`.
"""
