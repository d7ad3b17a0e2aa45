"""Webhooks that are told of closings and adjustments."""
