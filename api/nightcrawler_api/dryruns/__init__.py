"""What would become of a workflow or an execution, without creating anything."""
