"""The page ``/prep`` on a scheduler."""
