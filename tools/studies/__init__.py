"""tools.studies."""
