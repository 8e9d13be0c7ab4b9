"""contrast-medical: what two groups of images have in common, and what only one of them shows."""
