"""Contrastive learning for subject-driven image generation: CustomContrast on diffusers."""
