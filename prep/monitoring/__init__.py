"""A run while it runs: what workers count, put together in one place."""
