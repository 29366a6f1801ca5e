"""archs.latent.sampling."""
