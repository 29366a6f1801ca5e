"""losses.self_similarity."""
