"""Places for images: a folder, memory, an object store."""
