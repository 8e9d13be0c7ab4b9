"""Memories: rows kept between steps, every bit of them in persistent buffers."""
