"""Peak memory of an analysis, in a process of its own: it does not grow with the number of examples."""

import subprocess
import sys
from pathlib import Path

from analyzers.importance.mutual_information import PooledStates
from tests import tiny

ROOT = Path(__file__).parents[2]

# Few layers and words, but wide: the hidden states of 160 texts are 84 MB, a tenth of the whole process and more.
ANALYSIS = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
from transformers import BertConfig, BertForSequenceClassification
from analyzers.footprint import memory_peak
from analyzers.importance import choose
from tests import tiny

torch.set_num_threads(1)
torch.manual_seed(0)
config = BertConfig(vocab_size=tiny.VOCABULARY, hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
                    intermediate_size=256, max_position_embeddings=128)
count = int(sys.argv[1])
texts = torch.randint(1, tiny.VOCABULARY, (count, 128)).tolist()
engine = tiny.engine(BertForSequenceClassification(config).eval(), tiny.batches(texts, [i % 2 for i in range(count)], 16))
for method in choose(("main",)):
    engine.score(method)
print(memory_peak())
"""


def peak(examples: int) -> int:
    command = [sys.executable, "-c", ANALYSIS, str(examples)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_ten_times_the_examples_need_no_more_memory():
    few, many = peak(16), peak(160)
    assert many <= 1.1 * few, f"{few / 2**20:.0f} MB for 16 examples, {many / 2**20:.0f} MB for 160"


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
