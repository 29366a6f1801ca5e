"""archs.latent."""
