"""Senders: the programs that people already run, in an environment of their own, against a server of ours."""
