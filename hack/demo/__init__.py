"""`make demo`: a cluster, the operator, the facade and real workflows, on this machine.

story      what is shown, in order
cluster    the cluster, its custom resources and Environments
services   operator and facade, as processes that outlive the demo
runs       how far a run is, read from kubectl or over REST, and told line by line
terminal   talking to a person
"""
