"""A plugin whose manifest imports torch, and that works."""
