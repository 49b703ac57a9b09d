"""The run history and the notes that explanations are built from."""
