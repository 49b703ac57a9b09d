"""The built-in planner: a deterministic chat model that needs no language model.

    message --reading--> goals and slots --scripts--> tool calls and answers
                 memory: what was said and measured before

`Planner` plugs it into LangChain.
"""

from agent.planner.model import Planner

__all__ = ["Planner"]
