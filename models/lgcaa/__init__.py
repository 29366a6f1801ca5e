"""models.lgcaa."""
