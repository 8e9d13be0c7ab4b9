"""Losses and miners of other libraries as components; each library is imported when such a component is made."""
