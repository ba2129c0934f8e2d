"""Notifications: which messages are to be sent, to whom, and what they say. Pure."""
