"""Conversations, language models and the ways in: terminal, browser, command line."""
