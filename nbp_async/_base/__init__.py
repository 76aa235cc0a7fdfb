"""Values and helpers that know nothing of images, vendors or money."""
