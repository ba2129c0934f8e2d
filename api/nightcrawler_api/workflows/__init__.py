"""Workflows: list, show, create, change, delete."""
