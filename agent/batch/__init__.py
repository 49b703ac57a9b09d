"""Scripts in YAML: steps that call workflows, the agent or reports, from one file and without a conversation.

`read_script` reads one, `expand` makes tasks of its steps, `run_batch` does them; `dry_run` tells what they will cost.
"""
