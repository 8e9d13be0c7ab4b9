"""Sharpness-aware minimisation and class-balanced reservoirs, as parts for contrast."""
