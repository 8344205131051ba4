"""Where images are, which class and split each is of, and how their bytes are read."""
