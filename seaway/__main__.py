"""`python -m seaway` is the `seaway` command."""

from seaway.cli.main import main

main()
