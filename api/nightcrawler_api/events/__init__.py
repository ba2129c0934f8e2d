"""Changes of workflows and executions, as server-sent events."""
