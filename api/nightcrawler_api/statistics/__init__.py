"""Success rates, durations and waits of executions, in all and by day or workflow."""
