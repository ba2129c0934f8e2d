"""Logs that outlast their Pods: read from the nodes while steps run, and kept in a folder or in S3.

The library of the store is imported by `store`, and by nothing else, so that a facade that keeps no logs
does not pay for it.
"""
