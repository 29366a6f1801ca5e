"""data.multi_gt."""
