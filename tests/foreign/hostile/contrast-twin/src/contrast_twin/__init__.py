"""A plugin that claims a name of the core."""
