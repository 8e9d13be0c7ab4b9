"""Pairs of a query and the code that it asks for."""
