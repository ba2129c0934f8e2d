"""The soak: a steady load for an hour on an operator that is killed again and again.

`drive` runs it, `absence` takes log store and mail server away if that is asked for, `kinds` defines the
runs of the load, `tracker` compares every run with the result it must have, `samples` measures processes and
objects meanwhile, `verdict` judges, and `report` makes a section of `docs/performance.md`.
"""
