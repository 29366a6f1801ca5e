"""tools.iqa."""
