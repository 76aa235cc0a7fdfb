"""Webhooks that come in over real sockets."""
