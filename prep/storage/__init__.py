"""Bytes at paths and URLs."""
