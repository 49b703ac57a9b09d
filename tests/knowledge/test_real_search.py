"""Searching by meaning with the demo encoder: the words need not be those of the record."""

from pathlib import Path

import pytest

from analyzers.assets import demo_asset
from analyzers.progress import Progress
from knowledge.runs import RunStore
from tests.sample_runs import evaluation_run, story


@pytest.mark.real
def test_meaning_is_found_without_the_words(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = demo_asset("minilm", tmp_path_factory.getbasetemp() / "real-cache", Progress())
    store = RunStore(tmp_path, embedder_folder=folder)
    for run in [*story(), evaluation_run()]:
        store.save(run)
    assert store.notices == []
    for text, kind in (
        ("which blocks contribute most", "analysis"),
        ("proposal for what can be cut out", "plan"),
        ("压缩后的小模型", "compression"),
        ("哪些层重要", "analysis"),
        ("how good is it on film reviews", "evaluation"),
    ):
        assert store.search(text)[0].run.kind == kind, text
