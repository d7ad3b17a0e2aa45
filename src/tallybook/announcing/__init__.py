"""Announcing closings and adjustments to webhooks: the heads' own deliveries, with what was closed in the parcel."""
