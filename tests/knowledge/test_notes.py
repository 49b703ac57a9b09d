import pytest

from analyzers.errors import UsageError
from analyzers.importance import Method, methods
from knowledge.notes import names, note

EXPECTED = [
    "ablation",
    "activation_patching",
    "agreement",
    "angular_block",
    "angular_distance",
    "attention_entropy",
    "block_influence",
    "cka",
    "conductance",
    "dropout_uncertainty",
    "fidelity",
    "fisher",
    "generation",
    "gradient",
    "gradient_flow",
    "healing",
    "mutual_information",
    "parameter_influence",
    "plan",
    "quantization",
    "shap",
    "spectral",
    "taylor",
]


def test_there_is_a_note_on_each_method_and_result() -> None:
    assert names() == EXPECTED
    assert {method.id for method in methods()} <= set(EXPECTED)


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.id)
def test_the_note_on_a_method_is_of_its_paper_and_has_its_title(method: Method) -> None:
    found = note(method.id)
    assert method.source in found.sources
    assert found.title.startswith(method.title) or method.title.lower().endswith(found.title.lower())


@pytest.mark.parametrize("name", EXPECTED)
def test_each_note_says_what_it_means_when_it_misleads_and_its_source(name: str) -> None:
    found = note(name)
    assert "mislead" in found.text
    assert "误导" in found.text_zh or "不要把它" in found.text_zh
    assert "\n\n" in found.text
    assert "## zh" not in found.text
    assert found.text.isascii() or set(found.text) - set("τ−") < set(map(chr, range(128)))
    assert all(source.startswith("https://") for source in found.sources)
    assert found.source == found.sources[0]
    assert found.title != found.title_zh


def test_an_unknown_note_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no note 'magic'; there are: ablation"):
        note("magic")
