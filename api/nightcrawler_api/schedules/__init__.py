"""Schedules before they are saved: what is wrong with one, and when it would run."""
