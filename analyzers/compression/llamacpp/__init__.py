"""GGUF, the file of llama.cpp and Ollama: cutting blocks out of one, and writing one from a model of transformers.

Source of the layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
