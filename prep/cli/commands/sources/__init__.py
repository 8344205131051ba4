"""Commands that look at a source before a run: each is a module of its name."""
