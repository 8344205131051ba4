"""Whether a cluster can do the work that it is given: found out before the work begins."""
