"""tools.evaluation."""
