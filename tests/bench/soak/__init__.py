"""The soak: a steady load for an hour on an operator that is killed again and again.

`drive` runs it, `kinds` says of what runs the load is made, `ledger` holds every run to what must become of
it, `samples` measures processes and objects meanwhile, `verdict` judges, and `report` makes a section of
`docs/performance.md` of it.
"""
