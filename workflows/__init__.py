"""Durable orchestration: deterministic, one workflow a file."""
