"""Executions of workflows: start, list, show with logs, cancel."""
