"""What embedders share: unit vectors, the cache of vectors, and models that run in this process."""
