"""data.images."""
