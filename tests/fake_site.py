"""The page with real processes and fake workflows: `python -m tests.fake_site HOME CACHE [--auth USER:PASSWORD]...`."""

import sys
from pathlib import Path

from tests import fake_jobs
from tools.jobs import processes

if __name__ == "__main__":
    from agent.quiet import hush
    from agent.settings import Settings
    from agent.ui.serve import serve

    hush(1)
    home, cache, *more = sys.argv[1:]
    processes.COMMAND = fake_jobs.COMMAND
    settings = Settings(home=Path(home), cache=Path(cache), llm="offline", ollama_base_url="http://127.0.0.1:9")
    serve(settings, settings.workspace(), port=0, auth=tuple(word for word in more if word != "--auth"))
