"""What to do for the schedule of a workflow: schedule, recorded state, runs and time in, plan out."""
