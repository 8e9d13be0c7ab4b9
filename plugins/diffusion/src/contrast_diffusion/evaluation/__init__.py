"""Evaluators: what the subject code holds, and what the pictures show."""
