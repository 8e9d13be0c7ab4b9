"""Components that keep every promise, and for each promise one that breaks it."""
