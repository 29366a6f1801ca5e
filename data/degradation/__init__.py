"""data.degradation."""
