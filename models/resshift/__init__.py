"""models.resshift."""
