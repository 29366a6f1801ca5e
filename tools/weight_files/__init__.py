"""Files of weights: those that are needed, and adapters merged into networks."""
