"""Importance methods: one score a layer, higher is more important. One method a file."""

from analyzers.importance.registry import Method, choose, importance_method, methods

__all__ = ["Method", "choose", "importance_method", "methods"]
