"""Traefik v3 as the proxy of a server, configured by one file for each application."""
