"""The log of one attempt of a step: its last lines, all of it as text, or followed while it grows."""
