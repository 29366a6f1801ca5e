"""The steps of `tools/prepare.py`, one a file."""
