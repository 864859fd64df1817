"""The `seaway` command. It speaks only REST to the API; the server commands start the parts themselves.

Modules of commands import nothing heavy at the top, because `seaway --help` imports them all.
"""
