"""The output folder: its names, its plan, its receipts, its lock, its report."""
