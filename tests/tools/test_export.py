"""The verb `export`: from runs, plans, folders and GGUF files to files that another program opens."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from gguf import GGUFReader

from analyzers import errors
from analyzers.compression import verify
from analyzers.records import CompressionResult, Healing, Run
from analyzers.references import ModelReference
from analyzers.requests import ExportRequest
from tests.gguf_files import byte_level_tokenizer, small_llama, write_gguf
from tests.sample_runs import compression_run, plan_run
from tests.tools.conftest import Chain, copied, left_in, opened_here, refused, run, workspace_in, write_decoder
from tools.inputs import resolve
from tools.workspace import Workspace


@pytest.fixture(autouse=True)
def in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "in_a_fresh_process" not in request.node.name:
        monkeypatch.setattr(verify, "in_fresh_process", opened_here)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr("knowledge.runs.RunStore._index", NoIndex())
    return workspace_in(tmp_path)


class NoIndex:
    """Records are written, the search index is not: opening it takes longer than most tests."""

    def write(self, run: Run) -> None: ...
    def remove(self, run_id: str) -> None: ...


def planned(workspace: Workspace, model: str, remove: list[int]) -> Run:
    """A plan for a model of four layers, as if it had been measured."""
    plan = plan_run()
    result = plan.result.model_copy(update={"remove": remove, "keep": [n for n in range(4) if n not in remove]})
    made = plan.model_copy(update={"model": model, "data": "demo:nyt", "parents": [], "result": result})
    workspace.runs.save(made)
    return made


def compressed(workspace: Workspace, plan: Run, best_epoch: int) -> Run:
    """A compression of that plan, healed or not; the model in its folder has other weights than the file."""
    sample = compression_run()
    healing = Healing(strategy="distill", epochs=[], best_epoch=best_epoch, seconds=1.0)
    assert isinstance(sample.result, CompressionResult)
    result = sample.result.model_copy(update={"removed": plan.result.remove, "healing": healing})
    made = sample.model_copy(update={"model": plan.model, "parents": [plan.id], "result": result})
    folder = workspace.runs.folder(made.id) / "model"
    small_llama(3, seed=9).save_pretrained(folder)
    byte_level_tokenizer().save_pretrained(folder)
    workspace.runs.save(made)
    return made


def data_of(path: Path) -> dict[str, bytes]:
    return {tensor.name: tensor.data.tobytes() for tensor in GGUFReader(path).tensors}


def test_a_plan_for_a_gguf_file_proved_in_a_fresh_process(workspace: Workspace, tmp_path: Path):
    path = write_gguf(tmp_path / "Tiny one.gguf", llama__some__numbers=[5, 6, 7, 8], tokenizer__chat_template="{{ m }}")
    plan = planned(workspace, f"gguf:{path}", [1])
    made = run(ExportRequest(model=plan.id, format="gguf"), workspace)
    folder = workspace.runs.folder(made.id) / "model"
    assert left_in(folder) == {"model.gguf", "Modelfile", "README.md"}
    before, after = data_of(path), data_of(folder / "model.gguf")
    moved = {0: 0, 2: 1, 3: 2}
    assert after == {
        name.replace(f"blk.{old}.", f"blk.{moved[old]}.") if old in moved else name: data
        for name, data in before.items()
        if (old := int(name.split(".")[1]) if name.startswith("blk.") else None) != 1
    }
    fields = GGUFReader(folder / "model.gguf").fields
    assert fields["llama.some.numbers"].contents() == [5, 7, 8]
    assert fields["tokenizer.chat_template"].contents() == "{{ m }}"
    result = made.result
    assert (result.copied, result.removed, result.format) == (True, [1], "gguf")
    assert result.verified.reloaded_in_fresh_process
    assert result.verified.same_text
    assert result.verified.max_logit_difference < 1e-6
    assert result.commands == [f"ollama create tiny-one-3-layers -f {folder}/Modelfile", "ollama run tiny-one-3-layers"]
    assert (made.model, made.data, made.parents) == (plan.id, "demo:nyt", [plan.id])
    assert made.measured("disk_mb", "exported").value < made.measured("disk_mb", "dense").value
    whole = {file.path: file for file in result.files}
    assert whole["model.gguf"].sha256 == hashlib.sha256((folder / "model.gguf").read_bytes()).hexdigest()
    assert resolve(made.id, workspace)[0] == ModelReference(kind="gguf", value=str(folder / "model.gguf"), text=made.id)


def test_a_compression_that_was_not_healed_comes_from_the_original_file(workspace: Workspace, tmp_path: Path):
    path = write_gguf(tmp_path / "tiny.gguf")
    plan = planned(workspace, f"gguf:{path}", [1])
    for best_epoch, copied_ in ((0, True), (2, False)):
        compression = compressed(workspace, plan, best_epoch)
        made = run(ExportRequest(model=compression.id, format="gguf"), workspace)
        assert made.result.copied is copied_
        assert made.parents == [compression.id]
        written = data_of(Path(made.result.folder) / "model.gguf")
        assert (written["blk.0.attn_v.weight"] == data_of(path)["blk.0.attn_v.weight"]) is copied_
        if not copied_:  # its own weights, with the tokenizer of the file that it all began with
            fields = GGUFReader(Path(made.result.folder) / "model.gguf").fields
            assert (
                fields["tokenizer.ggml.tokens"].contents()
                == GGUFReader(path).fields["tokenizer.ggml.tokens"].contents()
            )


def test_a_folder_of_transformers_without_a_layer(workspace: Workspace, tmp_path: Path):
    small_llama(3).save_pretrained(tmp_path / "model")
    byte_level_tokenizer().save_pretrained(tmp_path / "model")
    output = tmp_path / "for ollama"
    wanted = ExportRequest(model=str(tmp_path / "model"), format="gguf", remove=(2, 0), output=str(output))
    made = run(wanted, workspace)
    assert left_in(output) == {"model.gguf", "Modelfile", "README.md"}
    assert (made.result.folder, made.result.removed, made.result.copied) == (str(output), [0, 2], False)
    assert GGUFReader(output / "model.gguf").fields["llama.block_count"].contents() == 1
    assert made.command == wanted.command()
    assert made.artifacts == []
    refused(wanted, workspace, errors.UsageError, str(output), "not empty", "--output")


def test_healed_weights_in_eight_bits(workspace: Workspace, tmp_path: Path):
    """What began as a small file and is computed anew becomes one again."""
    path = write_gguf(tmp_path / "tiny.gguf", small_llama(4, intermediate_size=128))
    healed = compressed(workspace, planned(workspace, f"gguf:{path}", [1]), 2)
    full, small = (
        run(ExportRequest(model=healed.id, format="gguf", precision=precision), workspace)
        for precision in (None, "q8_0")
    )
    assert (full.result.precision, small.result.precision, small.result.copied) == (None, "q8_0", False)
    assert small.result.verified.max_logit_difference < 1e-3
    assert small.result.verified.same_text
    assert small.measured("disk_mb", "exported").value < 0.5 * full.measured("disk_mb", "exported").value
    assert small.command.endswith("--format gguf --precision q8_0")
    assert "weights in q8_0" in (Path(small.result.folder) / "README.md").read_text()


@pytest.mark.parametrize("precision", ["f16", "q8_0"])
def test_a_plan_for_a_file_in_another_precision(workspace: Workspace, tmp_path: Path, precision: str):
    path = write_gguf(tmp_path / "tiny.gguf")
    made = run(
        ExportRequest(model=planned(workspace, f"gguf:{path}", [1]).id, format="gguf", precision=precision), workspace
    )
    written = {tensor.name: tensor for tensor in GGUFReader(Path(made.result.folder) / "model.gguf").tensors}
    assert written["blk.2.attn_v.weight"].tensor_type.name == precision.upper()
    assert "blk.3.attn_v.weight" not in written
    assert made.result.verified.max_logit_difference < 1e-3


def test_the_card_has_every_measurement_with_its_run(chain: Chain, tmp_path: Path):
    workspace = copied(chain, tmp_path, "train", "analyze", "plan", "compress")
    made = run(ExportRequest(model=chain["compress"].id), workspace)
    folder = workspace.runs.folder(made.id) / "model"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\ntags:\n- layerwise\n")
    assert "AutoModelForSequenceClassification.from_pretrained" in card
    for verb in ("train", "analyze", "plan", "compress"):
        assert f"| `{chain[verb].id}` | {chain[verb].kind} |" in card
        assert chain[verb].command.replace("|", "\\|") in card
    rows = [line for line in card.splitlines() if line.endswith(f"| `{chain['compress'].id}` |")]
    assert len(rows) == len(chain["compress"].measurements)
    assert any(line.startswith("| accuracy | healed | test |") for line in rows)
    assert f"(`{chain['compress'].id}`)" in card.split("## Use")[0]
    assert made.result.removed == [], "the compression took them out"
    assert {"config.json", "model.safetensors", "vocab.txt"} & left_in(folder) >= {"config.json", "model.safetensors"}
    assert resolve(made.id, workspace)[0].value == str(folder)


def test_what_a_plan_leaves_of_a_model(chain: Chain, tmp_path: Path):
    workspace = copied(chain, tmp_path, "train", "analyze", "plan")
    made = run(ExportRequest(model=chain["plan"].id), workspace)
    assert made.result.removed == sorted(chain["plan"].result.remove)
    assert made.measured("parameters", "exported").value == chain["compress"].measured("parameters", "healed").value


# --- bad input --------------------------------------------------------------------------------------------------------


def test_words_that_mean_nothing(chain: Chain, tmp_path: Path):
    plan, path = chain["plan"], write_gguf(tmp_path / "tiny.gguf", small_llama(2))
    other = write_gguf(tmp_path / "other.gguf", small_llama(2))
    other.write_bytes(other.read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0bloom", 1))
    before = [each.id for each in chain.workspace.runs.list()]
    for wanted, error, parts in (
        (ExportRequest(model=plan.id, format="exe"), errors.UnknownFormat, ("'exe'", "gguf, hf, onnx")),
        (ExportRequest(model=plan.id, remove=(1,)), errors.UsageError, ("--remove 1", plan.id, plan.model)),
        (ExportRequest(model=f"gguf:{path}", format="gguf"), errors.UsageError, ("already", "--remove 3,4")),
        (
            ExportRequest(model=f"gguf:{path}", format="gguf", precision="q4_k_m"),
            errors.UsageError,
            ("'q4_k_m'", "f16, q8_0 with --format gguf", "ollama create --quantize"),
        ),
        (
            ExportRequest(model=plan.id, format="onnx", precision="f16"),
            errors.UsageError,
            ("onnx", "with --format gguf"),
        ),
        (ExportRequest(model=f"gguf:{path}", format="gguf", remove=(2,)), errors.BadTarget, ("[2] of 2", "0 to 1")),
        (
            ExportRequest(model=f"gguf:{other}", format="gguf", remove=(1,)),
            errors.ModelError,
            ("other.gguf", "'bloom'", "llama, qwen2, qwen3", "--format hf"),
        ),
        (ExportRequest(model=chain["analyze"].id), errors.UnknownModel, (chain["analyze"].id, "made no model")),
        (ExportRequest(model="gguf:/nowhere.gguf", format="hf"), errors.UnknownModel, ("/nowhere.gguf",)),
        (ExportRequest(model=chain["train"].id, output=str(path)), errors.UsageError, (str(path), "still to be made")),
    ):
        refused(wanted, chain.workspace, error, *parts)
    assert [each.id for each in chain.workspace.runs.list()] == before, "a wrong word is no run"


@pytest.mark.parametrize(
    ("wanted", "error", "parts"),
    [
        ({"format": "gguf"}, errors.UnknownFormat, ("WordLevel", "byte-level BPE", "--format hf")),
        ({"remove": (7,)}, errors.BadTarget, ("[7] of 4", "0 to 3")),
        ({"remove": (0, 1, 2, 3)}, errors.BadTarget, ("[0, 1, 2, 3] of 4", "not all")),
    ],
)
def test_models_that_do_not_fit(
    wanted: dict[str, Any], error: Any, parts: tuple[str, ...], workspace: Workspace, tmp_path: Path
):
    refused(ExportRequest(model=str(write_decoder(tmp_path / "model")), **wanted), workspace, error, *parts)
    [failed] = workspace.runs.list()
    assert failed.status == "failed"
    assert left_in(workspace.runs.folder(failed.id)) == {"record.json"}


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_too_little_disk(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    wanted = ExportRequest(
        model=f"gguf:{write_gguf(tmp_path / 'a.gguf')}", format="gguf", remove=(1,), output=str(tmp_path / "o")
    )
    refused(wanted, workspace, errors.StorageError, "needs 4 MB and 1 MB are free", "--output", "nothing was written")
    assert not (tmp_path / "o").exists()


def test_interrupted(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*words: Any) -> None:
        raise KeyboardInterrupt

    wanted = ExportRequest(model=f"gguf:{write_gguf(tmp_path / 'a.gguf')}", format="gguf", remove=(1,))
    with monkeypatch.context() as patch:
        patch.setattr(verify, "in_fresh_process", stop)
        with pytest.raises(KeyboardInterrupt):
            run(wanted, workspace)
    [stopped] = workspace.runs.list()
    assert (stopped.status, stopped.result) == ("cancelled", None)
    assert left_in(workspace.runs.folder(stopped.id)) == {"record.json"}
    refused(ExportRequest(model=stopped.id), workspace, errors.ModelError, stopped.id, "cancelled", "run it again")
    assert run(wanted, workspace).status == "done"
