"""Transports move bytes. They know no JSON, no image and no price."""
