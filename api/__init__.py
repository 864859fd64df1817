"""The REST API and the pages' routes: starts, signals and queries workflows; reads the store."""
