"""The client of the API server: identity, requests, lists and watches, and views of objects."""
