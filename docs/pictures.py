"""Make the picture of the README from the newest analysis of a home: python docs/pictures.py demo

Needs Chromium; the README shows what `make demo` measured.
"""

import sys
from pathlib import Path

from analyzers.records import AnalysisResult
from knowledge.runs import RunStore
from tools.browser import pictures
from tools.figures import scores_with_intervals


def main() -> None:
    store = RunStore(Path(sys.argv[1]), embedder_folder=None)
    analysis = store.list(kind="analysis", status="done")[0].result
    assert isinstance(analysis, AnalysisResult)
    (picture,) = pictures([scores_with_intervals(analysis)])
    (Path(__file__).parent / "images" / "scores.png").write_bytes(picture)


if __name__ == "__main__":
    main()
