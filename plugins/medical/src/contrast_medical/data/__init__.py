"""Images of two groups, background and target."""
