"""The networks: injection, feature encoder, denoiser, generation."""
