"""`python -m corelic`: the command line for those who start it as a module, as torchrun does."""

from corelic.cli.main import main

main()
