"""Contrastive learning on tables, as parts for contrast."""
