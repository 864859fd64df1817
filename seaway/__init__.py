"""The program: settings, what is wired to what, the `seaway` command, the embedded Temporal, the worker."""
