"""How well does the agent do with a language model? Conversations with expected calls and facts, run on recorded runs."""
