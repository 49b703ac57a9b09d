"""Workflows: plain functions that do one thing and save one run."""
