"""Generates the custom resources and the tables of their README from the models."""
