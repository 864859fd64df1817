"""`make demo`: starts Seaway in the background and deploys the bundled example application.

It uses Seaway as anybody would: the `seaway` command to start it, the REST API for the rest.
"""
