"""Pair samplers: from named tables to named pairs; each says who is whose positive and whose negative."""
