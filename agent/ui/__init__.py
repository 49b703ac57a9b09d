"""The conversation and what stands beside it, in a browser. The only place that knows Gradio; it computes nothing itself."""
