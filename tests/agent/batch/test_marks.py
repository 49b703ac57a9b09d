"""YAML with its lines and columns."""

import pytest

from agent.batch.marks import Mark, read
from analyzers.errors import BadScript

TEXT = """\
name: 2026-11-25
steps:
  - train: {model: a, epochs: 3}
  - plan:
      ratio: 2.5
"""


def test_content_and_places():
    marked = read(TEXT, "x.yaml")
    assert marked.content == {"name": "2026-11-25", "steps": [{"train": {"model": "a", "epochs": 3}}, {"plan": {"ratio": 2.5}}]}  # fmt: skip
    assert marked.of(("steps", 0, "train", "epochs")) == Mark(3, 31)
    assert marked.key(("steps", 1, "plan", "ratio")) == Mark(5, 7)
    assert marked.of(("steps", 1, "plan", "nothing", "deeper")) == Mark(5, 7)  # the mapping that it would stand in


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: 'a' stands here twice"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2:2: no YAML"),
        ("a: &x [*x]\n", "an alias stands inside of what it names"),
        ("? [a, b]\n: 1\n", "x.yaml:1:3: a key has to be one word"),
        ("a: !!python/object/apply:os.system [x]\nb: !what 3\n", "no YAML"),
        ("a: {model: ${x}}\n", "inside braces a variable needs quotes"),
        ("a: 1\n--- \nb: 2\n", "no YAML"),
        ("a: \x00\n", "no YAML"),
    ],
)
def test_what_is_refused(text: str, said: str):
    with pytest.raises(BadScript) as caught:
        read(text, "x.yaml")
    assert said in str(caught.value)


def test_aliases_of_aliases_do_not_grow_without_end():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(BadScript, match="more than 20,000 values"):
        read("\n".join(lines), "x.yaml")


def test_nothing_is_nothing():
    assert read("", "x.yaml").content is None
