"""From parts of an answer to an image that is safe."""
