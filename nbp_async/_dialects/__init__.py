"""The wire formats: how one API spells a request and its answer. Synchronous, no I/O."""
