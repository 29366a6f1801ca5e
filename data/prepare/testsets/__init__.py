"""data.prepare.testsets."""
