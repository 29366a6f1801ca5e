"""utils.weights."""
