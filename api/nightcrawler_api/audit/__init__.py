"""Who did what: a line in the log for every write and refusal, and a row in the archive if there is one."""
