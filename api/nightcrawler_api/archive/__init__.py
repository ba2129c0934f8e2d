"""The archive: a SQL read model of runs that have ended, which outlives the cluster's own history.

SQLAlchemy is imported by `tables` and what stands on it, and by nothing else, so that a facade without an
archive does not pay for it.
"""
