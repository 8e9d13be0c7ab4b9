"""A plugin whose components are not what they say."""
