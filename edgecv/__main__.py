"""`python -m edgecv`: the command line."""

from edgecv.cli import main

main()
