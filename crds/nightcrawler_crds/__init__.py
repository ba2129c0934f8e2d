"""What operator and facade agree on: resources, words, names, and the door to the API server."""
