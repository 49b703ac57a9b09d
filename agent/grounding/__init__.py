"""Is every number of an answer backed by a fact of the turn, and said of the right layer, method and model?

results, records --recorded, completed--> Facts
answer --reading, words--> passages, numbers, cues --values, derived--> what each number can be
       --places, fitting--> what the words around it do not contradict --check--> its fact
"""

from agent.grounding.check import Checked, Unsupported, Verified, check
from agent.grounding.facts import Facts
from agent.grounding.recorded import facts_of

__all__ = ["Checked", "Facts", "Unsupported", "Verified", "check", "facts_of"]
