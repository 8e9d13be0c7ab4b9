"""A plugin whose manifest, module and recipe break what the kit checks of a plugin as a whole."""
