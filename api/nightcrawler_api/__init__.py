"""The facade: the dashboard's REST API over the custom resources.

A request goes through `http` to `endpoints` (routes) and a `service`, which reads from
`state.ClusterCache` and writes to the `Store`; a `presenter` turns objects into the API's JSON.
"""
