"""Workflows on a Ray cluster. Only this folder knows Ray; it is imported when `--engine ray` asks for it, never before."""
