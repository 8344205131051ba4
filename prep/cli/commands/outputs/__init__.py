"""Commands on outputs that a run has written: each is a module of its name."""
