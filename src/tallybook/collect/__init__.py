"""From the wire to the logs: decoders of what senders post, their records in columns, and the queue to the store."""
