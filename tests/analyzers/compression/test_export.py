"""Under the final name stands a model that was opened in a fresh process and is the one in memory, or nothing."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from analyzers.compression import export, verify
from analyzers.compression.export import expected, save, save_verified
from analyzers.compression.surgery import remove_blocks
from analyzers.errors import StorageError, VerificationFailed
from analyzers.layers import LayeredModel
from analyzers.storage import storage_errors
from tests.tools.conftest import opened_here

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_opened_by_plain_transformers(in_this_process, build_decoder, batch, tokenizer, tmp_path: Path):
    model = build_decoder()
    with LayeredModel(model).skipping(frozenset({1, 2})):
        masked = expected(model, batch, cached=False)
    found = save_verified(remove_blocks(model, [1, 2]), tokenizer, tmp_path / "model", batch, masked)
    assert found.reloaded_in_fresh_process
    assert found.same_text
    assert found.max_logit_difference < 1e-5
    assert left_in(tmp_path) == ["model"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(left_in(tmp_path / "model"))
    assert json.loads((tmp_path / "model" / "config.json").read_text())["num_hidden_layers"] == 2


def test_weights_that_do_not_fit(in_this_process, build_encoder, batch, tokenizer, tmp_path: Path):
    model = build_encoder()
    reference = expected(model, batch)
    model.config.num_hidden_layers = 3  # a configuration that was not mended
    with pytest.raises(VerificationFailed, match=r"in a new process: weights that do not fit: \['bert.*not kept"):
        save_verified(model, tokenizer, tmp_path / "model", batch, reference)
    assert left_in(tmp_path) == []


def test_an_encoder_writes_no_text(in_this_process, build_encoder, batch, tokenizer, tmp_path: Path):
    model = build_encoder()
    found = save_verified(model, tokenizer, tmp_path / "model", batch, expected(model, batch))
    assert found.same_text is None
    assert found.max_logit_difference == 0


@pytest.mark.parametrize("damage", [1e-2, float("nan")])
def test_other_weights_on_disk(
    damage: float, in_this_process, build_encoder, batch, tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = build_encoder()
    write = export._write

    def damaged(model, tokenizer, folder: Path) -> None:
        write(model, tokenizer, folder)
        weights = load_file(folder / "model.safetensors")
        weights["classifier.bias"][0] += damage
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(export, "_write", damaged)
    with pytest.raises(VerificationFailed, match=r"logits differ by .* \(allowed 0\.001\); it was not kept"):
        save_verified(model, tokenizer, tmp_path / "model", batch, expected(model, batch))
    assert left_in(tmp_path) == []


def test_half_of_the_weights_on_disk(build_encoder, batch, tokenizer, tmp_path: Path, monkeypatch):
    write = export._write

    def cut(model, tokenizer, folder: Path) -> None:
        write(model, tokenizer, folder)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])

    model = build_encoder()
    monkeypatch.setattr(export, "_write", cut)
    with pytest.raises(VerificationFailed, match=r"cannot be opened .*SafetensorError"):
        save_verified(model, tokenizer, tmp_path / "model", batch, expected(model, batch))
    assert left_in(tmp_path) == []


def test_another_text_is_no_proof(in_this_process, build_decoder, batch, tokenizer, tmp_path: Path):
    model = build_decoder()
    reference = expected(model, batch)
    reference["text_without_cache"][0, -1] += 1
    with pytest.raises(VerificationFailed, match="its greedy text is another"):
        save_verified(model, tokenizer, tmp_path / "model", batch, reference)


def test_a_failed_save_leaves_the_model_that_stood_there(
    in_this_process, build_encoder, batch, tokenizer, tmp_path: Path
):
    good, other = build_encoder(), build_encoder(seed=1)
    save_verified(good, tokenizer, tmp_path / "model", batch, expected(good, batch))
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    with pytest.raises(VerificationFailed):
        save_verified(other, tokenizer, tmp_path / "model", batch, expected(good, batch))
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    save_verified(other, tokenizer, tmp_path / "model", batch, expected(other, batch))
    assert (tmp_path / "model" / "model.safetensors").read_bytes() != before
    assert left_in(tmp_path) == ["model"]


def test_the_cache_of_a_pruned_model_gives_the_same_text(build_decoder, batch):
    pruned = remove_blocks(build_decoder(), [0, 2])
    found = expected(pruned, batch)
    assert torch.equal(found["text"], found["text_without_cache"])
    assert found["text"].shape == (4, 16 + 24)
    written = found["text"][0:1]
    for position in range(16, 40):  # greedy by hand
        with torch.no_grad():
            scores = pruned(input_ids=written[:, :position], use_cache=False).logits[0, -1]
        scores[2] = float("-inf")  # not the end
        assert scores.argmax() == written[0, position]


def test_expected_says_only_what_was_asked_for(build_decoder, build_encoder, batch):
    assert set(expected(build_decoder(), batch, cached=False)) == {"logits", "text_without_cache"}
    assert set(expected(build_encoder(), batch)) == {"logits"}


def test_a_model_with_a_taste_of_its_own_writes_plain_greedy_text(build_decoder, batch):
    plain = expected(build_decoder(), batch)
    model = build_decoder()
    model.generation_config.repetition_penalty = 9.0
    model.generation_config.no_repeat_ngram_size = 1
    assert torch.equal(expected(model, batch)["text"], plain["text"])


def test_padding_is_not_compared(build_decoder, batch):
    batch.inputs["attention_mask"][0, -4:] = 0
    found = expected(build_decoder(), batch)
    assert set(found) == {"logits"}, "a padded text is not continued"
    assert not found["logits"][0, -4:].any()
    assert found["logits"][0, :-4].any()


def test_logits_of_zero_are_compared(in_this_process, build_encoder, batch, tokenizer, tmp_path: Path):
    model = build_encoder()
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
    assert save_verified(model, tokenizer, tmp_path / "m", batch, expected(model, batch)).max_logit_difference == 0


def raising(error: Exception):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (FULL, "the disk is full"),
        (OSError(errno.EDQUOT, "Quota"), "the disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "the folder is not writable"),
        (PermissionError(errno.EACCES, "Permission denied"), "the folder is not writable"),
    ],
)
def test_disk_full(error: Exception, what: str, build_encoder, tokenizer, tmp_path: Path, monkeypatch):
    model = build_encoder()
    save(model, tokenizer, tmp_path / "old")
    monkeypatch.setattr(tokenizer, "save_pretrained", raising(error), raising=False)  # the weights are written already
    for name in ("old", "new"):
        with pytest.raises(
            StorageError,
            match=rf"{what}: .*{name} was not saved; (make room or )?choose another .* finished runs are kept",
        ):
            save(model, tokenizer, tmp_path / name)
    assert left_in(tmp_path) == ["old"]
    assert "model.safetensors" in left_in(tmp_path / "old")


@pytest.mark.parametrize("proving", [False, True])
def test_too_little_disk_is_noticed_first(proving: bool, build_encoder, batch, tokenizer, tmp_path: Path, monkeypatch):
    model = build_encoder()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4_000_000))  # not a byte for weights
    monkeypatch.setattr(export, "_write", lambda *words: pytest.fail("it wrote"))
    do, more = (save_verified, (batch, {})) if proving else (save, ())
    with pytest.raises(StorageError, match=r"model needs 4 MB and 4 MB are free there; .* --home; nothing was written"):
        do(model, tokenizer, tmp_path / "model", *more)
    assert left_in(tmp_path) == []


def test_disk_full_when_the_probe_is_written(build_encoder, batch, tokenizer, tmp_path: Path, monkeypatch):
    model = build_encoder()
    monkeypatch.setattr(export, "save_file", raising(FULL))
    with pytest.raises(StorageError, match="the disk is full"):
        save_verified(model, tokenizer, tmp_path / "model", batch, expected(model, batch))
    assert left_in(tmp_path) == []


def test_stopped_while_it_is_verified(build_encoder, batch, tokenizer, tmp_path: Path, monkeypatch):
    model = build_encoder()
    monkeypatch.setattr(verify, "in_fresh_process", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        save_verified(model, tokenizer, tmp_path / "model", batch, expected(model, batch))
    assert left_in(tmp_path) == []


def test_other_errors_are_not_called_a_full_disk(tmp_path: Path):
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "no such file")
