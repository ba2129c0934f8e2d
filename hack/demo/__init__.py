"""`make demo`, `make kind-demo` and `make dev`: a cluster, operator and facade, and real workflows in it.

walkthrough  the steps of the demo, in order
cluster      the cluster, and Environments that fit its nodes
release      operator and facade as Pods of the cluster, installed by the Helm chart
host         operator and facade as processes on this host
forward      keeps a port of this host forwarded to a Service
services     processes that outlive the demo
runs         the progress of a run, read with kubectl or over REST, printed line by line
terminal     output for a person
web          GET requests to the demo's own servers
"""
