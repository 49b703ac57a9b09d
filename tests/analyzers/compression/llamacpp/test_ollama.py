from pathlib import Path

from analyzers.compression.llamacpp.ollama import commands, modelfile


def test_the_two_commands():
    assert commands("SmolLM2 135M_x-22-layers", Path("/a folder/model")) == [
        "ollama create smollm2-135m-x-22-layers -f '/a folder/model/Modelfile'",
        "ollama run smollm2-135m-x-22-layers",
    ]
    assert commands("模型", Path("m"))[1] == "ollama run model"


def test_the_file_names_the_weights_beside_it():
    assert "\nFROM ./model.gguf\n" in modelfile("Tiny")
