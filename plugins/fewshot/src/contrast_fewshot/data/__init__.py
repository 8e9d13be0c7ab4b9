"""Data with classes that training never sees."""
