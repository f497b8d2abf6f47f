"""`python -m goniometer` is `goniometer`."""

from goniometer.cli import main

main()
