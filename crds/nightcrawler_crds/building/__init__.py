"""Pure builders of what a step runs as: its Job and its Pod, for the operator and for dry runs."""
