"""What people see: progress, notebook cells, links, and the page of an output."""
