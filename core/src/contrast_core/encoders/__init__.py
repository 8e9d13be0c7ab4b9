"""Encoders for any kind of data; those of a domain are in its plugin."""
