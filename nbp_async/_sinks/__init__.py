"""Where an image comes to rest."""
