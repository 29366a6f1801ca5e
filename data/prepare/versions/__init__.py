"""data.prepare.versions."""
