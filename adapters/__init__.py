"""Ports to the outside: one module or package for each kind of thing that Seaway talks to."""
