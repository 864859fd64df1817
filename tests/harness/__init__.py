"""Starts the real parts that tests use: Docker Engine, images, Git servers, Temporal, processes and load."""
