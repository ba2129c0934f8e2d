"""`make bench-compare`: the same rows through Nightcrawler and through Argo's controller, side by side.

Nothing of Argo is in this repository: its binary and the manifests of its custom resources are arguments.
"""
