"""utils.options."""
