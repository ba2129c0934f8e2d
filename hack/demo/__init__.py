"""`make demo`: a cluster, the operator, the facade and real workflows, on this machine.

story      the steps of the demo, in order
cluster    the cluster, its custom resources and Environments
services   operator and facade, as processes that outlive the demo
runs       the progress of a run, read with kubectl or over REST, printed line by line
terminal   output for a person
web        GET requests to the demo's own servers
"""
