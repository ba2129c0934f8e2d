"""The facade: the dashboard's REST API over the custom resources.

The way of a request: `endpoints` (route) → `service` → `Mirror` for what is known, `Store`
for what is changed; `presenter` turns objects into the API's words.
"""
