"""archs.stablesr."""
