"""Record formats: how an image and its label lie in the file of a shard."""
