"""Workflows on a real Temporal server, with stand-in activities."""
