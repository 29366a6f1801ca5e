"""models.latent."""
