"""DiffIR: a restoration transformer that is guided by a prior of the image, and the diffusion that tells this prior."""
