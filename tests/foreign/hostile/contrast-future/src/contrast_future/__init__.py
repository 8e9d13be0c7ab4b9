"""A plugin for a core that does not exist yet."""
