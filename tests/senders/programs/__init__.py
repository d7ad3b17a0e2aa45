"""Programs that run in the senders' environment, not in ours."""
