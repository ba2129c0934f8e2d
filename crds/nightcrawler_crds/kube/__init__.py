"""Talking to the API server: who we are, requests, lists and watches, and what is read of objects."""
