"""Tests of Seaway, and the harness that starts the real parts which they use."""
