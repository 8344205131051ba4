"""Readers for those who train."""
