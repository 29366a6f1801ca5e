"""data.loading."""
