"""The profile of a fake server, for a client that is made by hand."""

from nbp_async._vendors.profiles import fake_profile

__all__ = ["fake_profile"]
