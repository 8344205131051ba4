"""Image files of any format → 8-bit RGB, strictly."""
