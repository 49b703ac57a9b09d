"""Models so small that their answers can be computed by hand, and batches for them."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from analyzers.importance.engine import Engine
from analyzers.layers import LayeredModel
from analyzers.tasks import Batch, Task, task_of
from analyzers.tasks.classification import Classification

VOCABULARY = 32


class Residual(nn.Module):
    """h + W h."""

    def __init__(self, weight: Sequence[Sequence[float]]) -> None:
        super().__init__()
        matrix = torch.tensor(weight)
        self.linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
        self.linear.weight.data = matrix

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.linear(hidden)


class Stack(nn.Module):
    """Embeddings, residual blocks, the mean over present tokens, a linear head."""

    def __init__(self, embeddings: Sequence[Sequence[float]], blocks: Sequence[nn.Module], head: Any) -> None:
        super().__init__()
        self.embeddings = nn.Embedding.from_pretrained(torch.tensor(embeddings), freeze=False)
        self.blocks = nn.ModuleList(blocks)
        weight = torch.tensor(head)
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.head.weight.data = weight

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, inputs_embeds: Tensor | None = None
    ) -> SimpleNamespace:
        hidden = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        for block in self.blocks:
            hidden = block(hidden)
        present = attention_mask.unsqueeze(-1).float()  # (batch, tokens, 1)
        return SimpleNamespace(logits=self.head((hidden * present).sum(1) / present.sum(1)))


def scalar_stack(*weights: float, values: Sequence[float] = (0.0, 1.0, -2.0, 0.5)) -> Stack:
    """Width 1: token t has the value values[t], block l multiplies by 1 + weights[l], the logits are (h, 0)."""
    return Stack([[value] for value in values], [Residual([[weight]]) for weight in weights], [[1.0], [0.0]])


class Tokens(SimpleNamespace):
    """What the methods ask of a tokenizer: which ids are special. Token 0 is padding."""

    all_special_ids = (0,)
    pad_token_id = 0


def batches(texts: Sequence[Sequence[int]], labels: Sequence[int], batch_size: int = 64) -> list[Batch]:
    """Token ids as padded batches for classification, in the order given."""
    found = []
    for start in range(0, len(texts), batch_size):
        rows = [torch.tensor(text) for text in texts[start : start + batch_size]]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        stop = start + len(rows)
        inputs = {"input_ids": ids, "attention_mask": mask}
        found.append(Batch(inputs, torch.tensor(labels[start:stop]), torch.arange(start, stop)))
    return found


def random_batches(count: int = 10, batch_size: int = 4, seed: int = 0) -> list[Batch]:
    """Texts of 2 to 7 tokens, with labels 0 and 1 in turn."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 8, (count,), generator=generator).tolist()
    texts = [torch.randint(1, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]
    return batches(texts, [row % 2 for row in range(count)], batch_size)


def windows(count: int = 6, tokens: int = 8, batch_size: int = 4, seed: int = 0) -> list[Batch]:
    """Windows for language modelling, of few different tokens so that a probe has classes to tell apart."""
    ids = torch.randint(1, 6, (count, tokens), generator=torch.Generator().manual_seed(seed))
    return [
        Batch(
            {"input_ids": rows, "attention_mask": torch.ones_like(rows)}, rows, torch.arange(start, start + len(rows))
        )
        for start, rows in ((start, ids[start : start + batch_size]) for start in range(0, count, batch_size))
    ]


def bert(layers: int = 3, labels: int = 2, dropout: float = 0.0, width: int = 8, inner: int = 12) -> Any:
    """Its weights are large enough for every layer to matter."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=inner,
        max_position_embeddings=16,
        initializer_range=0.4,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=labels,
    )
    return BertForSequenceClassification(config).eval()


def llama(layers: int = 3, head: str = "CausalLM") -> Any:
    """A language model, or with head="SequenceClassification" a classifier that reads the last token."""
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=12,
        max_position_embeddings=32,
        initializer_range=0.4,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = getattr(transformers, f"LlamaFor{head}")(config).eval()
    model.get_input_embeddings().weight.data[0].normal_()  # transformers puts zeros, where an RMS norm is not smooth
    return model


def engine(model: Any, data: Sequence[Batch], seed: int = 0) -> Engine:
    """What a method is given. A `Stack` is a classifier."""
    task: Task = Classification() if isinstance(model, Stack) else task_of(model)
    return Engine(LayeredModel(model), task, Tokens(), data, seed)


def state(model: nn.Module) -> dict[str, Any]:
    """Everything that a measurement could leave changed."""
    return {
        "weights": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "training": {name: module.training for name, module in model.named_modules()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "gradients": {name: parameter.grad for name, parameter in model.named_parameters()},
        "forwards": {name for name, module in model.named_modules() if "forward" in vars(module)},
        "hooks": {
            name: (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
            for name, module in model.named_modules()
        },
    }


def assert_state(model: nn.Module, before: dict[str, Any]) -> None:
    after = state(model)
    weights = after.pop("weights")
    assert after == {key: value for key, value in before.items() if key != "weights"}
    assert all(torch.equal(weights[name], tensor) for name, tensor in before["weights"].items())
