"""Object stores: their addresses, their credentials, and whole objects in and out."""
