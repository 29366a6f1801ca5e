"""data.test_sets."""
