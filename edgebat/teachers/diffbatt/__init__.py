"""DiffBatt (arXiv 2410.23893): SOH curves drawn by a diffusion model."""
