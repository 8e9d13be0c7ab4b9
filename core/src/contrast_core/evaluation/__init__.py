"""Evaluators: scikit-learn's classifiers and clusterings on the frozen embedding."""
