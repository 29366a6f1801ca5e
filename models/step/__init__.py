"""models.step."""
