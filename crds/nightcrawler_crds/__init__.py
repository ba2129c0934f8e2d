"""What operator and facade share: custom resources, words, names, validation, the API server's client."""
