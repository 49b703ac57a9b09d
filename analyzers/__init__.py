"""Measuring transformer layers: references, data, layers, importance, training, compression, evaluation."""
