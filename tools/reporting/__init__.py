"""tools.reporting."""
