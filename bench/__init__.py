"""Measurements: what this library costs beside the alternatives, each against the same server."""
