"""Make the picture of the README from the newest analysis of a home: python docs/pictures.py demo

Needs Debian's Chromium; the README shows what `make demo` measured.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from analyzers.records import AnalysisResult
from knowledge.runs import RunStore
from tools.figures import scores_with_intervals

SIZE = (1000, 560)


def main() -> None:
    store = RunStore(Path(sys.argv[1]), embedder_folder=None)
    analysis = store.list(kind="analysis", status="done")[0].result
    assert isinstance(analysis, AnalysisResult)
    figure = scores_with_intervals(analysis).update_layout(width=SIZE[0], height=SIZE[1])
    picture = Path(__file__).parent / "images" / "scores.png"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}",
             "--disable-background-networking", "--disable-quic", f"--window-size={SIZE[0] + 16},{SIZE[1] + 16}",
             f"--screenshot={picture}", page.as_uri()],
            check=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
