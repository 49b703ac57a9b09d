"""One workflow a file. They load torch; `tools.workflows` does not until one is called."""
