"""archs.clip."""
