"""tools.inference."""
