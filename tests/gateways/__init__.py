"""Gateways' own tables, each as its project makes it, and what its preset reads from them."""
