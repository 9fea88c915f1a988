"""`python -m xharness`."""

from xharness.cli.main import main

main()
