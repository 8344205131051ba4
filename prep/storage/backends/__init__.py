"""What each kind of storage needs of its own."""
