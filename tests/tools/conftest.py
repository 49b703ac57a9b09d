"""Tiny models and data in files, and one chain of runs that all tests of the workflows look at."""

import multiprocessing
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from analyzers.compression import cost, verify
from analyzers.errors import LayerwiseError
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Request, Run, TrainRequest
from analyzers.requests import ExportRequest
from tools import workflows
from tools.workspace import Workspace

WORDS = ("plain", "dull", "grey", "slow", "table", "chair", "lamp", "road", "bread", "stone", "good", "bad")


def workspace_in(folder: Path) -> Workspace:
    return Workspace(home=folder / "home", cache=folder / "cache", device="cpu", threads=1)


def write_sentences(path: Path, rows: int = 200, seed: int = 0) -> Path:
    """Positive if and only if the sentence has the word "good"."""
    dice = random.Random(seed)
    lines = ["text,label"]
    for row in range(rows):
        words = dice.choices(WORDS[:-2], k=dice.randint(3, 12))
        words[dice.randrange(len(words))] = "good" if row % 2 else "bad"
        lines.append(f"{' '.join(words)},{'positive' if row % 2 else 'negative'}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_encoder(folder: Path, layers: int = 4, seed: int = 0) -> Path:
    """A folder such as that of demo:minilm: an encoder without a head, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 48}
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=len(words), num_hidden_layers=layers, initializer_range=0.2, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


def write_decoder(folder: Path, layers: int = 4, seed: int = 0) -> Path:
    """A folder of a language model of words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "<s>", "</s>", *WORDS]
    backend = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Chain:
    """train → analyze → plan → compress → evaluate, each made from the one before."""

    workspace: Workspace
    model: str
    data: str
    runs: dict[str, Run]
    requests: dict[str, Any]

    def __getitem__(self, verb: str) -> Run:
        return self.runs[verb]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Of an encoder of four layers, trained from its folder on 200 sentences."""
    folder = tmp_path_factory.mktemp("chain")
    workspace = workspace_in(folder)
    model, data = str(write_encoder(folder / "encoder")), f"csv:{write_sentences(folder / 'reviews.csv')}"
    runs: dict[str, Run] = {}
    requests: dict[str, Any] = {}

    def do(verb: str, wanted: Any) -> str:
        requests[verb] = wanted
        runs[verb] = getattr(workflows, verb)(wanted, workspace, Progress())
        return runs[verb].id

    trained = do("train", TrainRequest(model=model, data=data, epochs=6, learning_rate=5e-3, max_tokens=32, seed=3))
    # Seeds differ on purpose: the splits have to stay those of the training.
    analysis = do("analyze", AnalyzeRequest(model=trained, data=data, samples=32, max_tokens=32, seed=1))
    plan = do("plan", PlanRequest(analysis=analysis, ratio=2, seed=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "in_fresh_process", timed_here)
        patch.setattr(verify, "in_fresh_process", opened_here)
        compressed = do("compress", CompressRequest(plan=plan, epochs=2, seed=4))
    do("evaluate", EvaluateRequest(model=compressed, data=data, max_tokens=32, seed=5))
    return Chain(workspace, model, data, runs, requests)


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Starts processes that have loaded the libraries and done every workflow once: they can be killed within its first ms."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.tools.warm"])
    return context


def folder_of(chain: Chain, verb: str) -> Path:
    return chain.workspace.runs.folder(chain[verb].id)


def copied(chain: Chain, folder: Path, *verbs: str) -> Workspace:
    """A home of its own with some runs of the chain."""
    workspace = workspace_in(folder)
    for verb in verbs:
        name = chain[verb].id
        shutil.copytree(chain.workspace.runs.folder(name), workspace.runs.folder(name))
        workspace.runs.save(chain[verb])
    return workspace


def left_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def opened_here(folder: Path, *words: str | Path) -> str | None:
    """In the place of `verify.in_fresh_process`: the same code, without the seconds that a new interpreter costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["verify.py", str(folder), *map(str, words)])
        try:
            verify.main()
        except SystemExit as end:
            return str(end)
    return None


WORKFLOW = {
    TrainRequest: "train",
    AnalyzeRequest: "analyze",
    PlanRequest: "plan",
    CompressRequest: "compress",
    EvaluateRequest: "evaluate",
    ExportRequest: "export",
}


def run(wanted: Request, workspace: Workspace, progress: Progress | None = None, **options: Any) -> Any:
    return getattr(workflows, WORKFLOW[type(wanted)])(wanted, workspace, progress or Progress(), **options)


def refused(wanted: Request, workspace: Workspace, error: type[LayerwiseError], *parts: str) -> str:
    """The message, after it was seen to be one short line that says all of `parts`."""
    with pytest.raises(LayerwiseError) as caught:
        run(wanted, workspace)
    assert type(caught.value) is error
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for part in parts:
        assert part in message
    return message


@contextmanager
def timed_here(path: Path, architecture: str, inputs: Path, device: str) -> Iterator[Any]:
    """In the place of `cost.in_fresh_process`: the same code in this process."""
    yield cost.Here(str(path), architecture, str(inputs), device)


@pytest.fixture(autouse=True)
def measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "in_fresh_process", timed_here)
