"""Peak memory of an analysis, in a process of its own: it does not grow with the number of examples."""

import subprocess
import sys
from pathlib import Path

from analyzers.importance.mutual_information import PooledStates
from tests import tiny

ROOT = Path(__file__).parents[2]

# Few layers and words but many texts: all hidden states of 400 of them are 20 MB, those of 40 a tenth of that.
ANALYSIS = """
import warnings
warnings.simplefilter("ignore")
import torch
from transformers import BertConfig, BertForSequenceClassification
from analyzers.footprint import forget_peak, memory_peak
from analyzers.importance import choose
from tests import tiny

torch.set_num_threads(1)
torch.manual_seed(0)
config = BertConfig(vocab_size=tiny.VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=64, max_position_embeddings=64)
model = BertForSequenceClassification(config).eval()

def peak(count, tokens):
    forget_peak()
    texts = torch.randint(1, tiny.VOCABULARY, (count, tokens)).tolist()
    engine = tiny.engine(model, tiny.batches(texts, [i % 2 for i in range(count)], 16))
    for method in choose(("main",)):
        engine.score(method)
    return memory_peak()

peak(16, 8)  # the libraries are loaded
print(peak(40, 64), peak(400, 64))
"""
HELD = 400 * 64 * 64 * 4 * 3  # bytes of the hidden states


def test_ten_times_the_examples_need_no_more_memory():
    done = subprocess.run([sys.executable, "-c", ANALYSIS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = map(int, done.stdout.split())
    assert many <= 1.1 * few, f"{few / 2**20:.0f} MB for 40 examples, {many / 2**20:.0f} MB for 400"
    assert many - few < HELD / 3


def test_a_bounded_number_of_rows_is_kept_for_the_probes(monkeypatch):
    from analyzers.importance import mutual_information

    everything = kept_of(tiny.random_batches(40))
    monkeypatch.setattr(mutual_information, "ROWS", 12)
    some = kept_of(tiny.random_batches(40))
    again = kept_of(tiny.random_batches(40, batch_size=8))  # padded to another length, in other batches
    assert everything["features"].shape[1] == 40
    assert some["features"].shape[1] == len(set(some["examples"].tolist())) == 12
    assert some["examples"].max() >= 12, "the first ones are not all that are kept"
    for row, example in enumerate(some["examples"]):
        assert (some["features"][:, row] == everything["features"][:, example]).all()
        assert some["labels"][row] == example % 2
    assert again["examples"].tolist() == some["examples"].tolist()


def kept_of(data):
    engine = tiny.engine(tiny.bert(), data)
    return engine.reduced(PooledStates)
