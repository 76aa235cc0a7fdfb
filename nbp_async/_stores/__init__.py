"""Stores of one's own: where they are, what opens them, and what goes in and out."""
