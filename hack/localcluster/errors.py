"""Errors of the embedded cluster, as sentences.

ClusterError
"""


class ClusterError(Exception):
    """The embedded cluster cannot do what was asked.

    The text is meant for the person at the terminal: what is wrong, where,
    and what to do about it.
    """
