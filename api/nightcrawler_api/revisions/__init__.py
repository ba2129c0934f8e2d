"""The contents that runs of a workflow have used: listed, shown, compared."""
