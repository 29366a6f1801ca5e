"""models.stablesr."""
