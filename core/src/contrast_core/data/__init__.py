"""Data sets that every installation has: a real one that comes with scikit-learn, and one's own tables and texts."""
