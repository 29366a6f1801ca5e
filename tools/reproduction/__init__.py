"""tools.reproduction."""
