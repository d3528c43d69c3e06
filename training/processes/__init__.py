"""The mathematics of diffusion processes, without a network."""
