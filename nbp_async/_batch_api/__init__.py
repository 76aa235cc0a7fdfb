"""Batch jobs at a vendor, from prompts to lines and from lines to outcomes."""
