"""Servers reached over SSH: one connection each, and everything that goes through it."""
