"""Engines: the same figures from each."""
