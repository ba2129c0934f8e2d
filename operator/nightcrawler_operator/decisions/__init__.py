"""Pure decisions: a Snapshot in, a Plan out. No I/O, no clock, no randomness, no logging."""
