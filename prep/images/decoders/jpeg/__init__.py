"""JPEG, decoded strictly."""
