import numpy as np
import pytest
import torch
from torch.nn import functional as F

from analyzers.importance.angular_distance import angular_distance
from tests import tiny
from tests.analyzers.test_baselines import turning


def test_by_hand():
    data = tiny.batches([[1, 2, 3], [2], [3, 1]], [0, 1, 0], batch_size=2)
    found = angular_distance(tiny.engine(turning(30, 90, 60).model, data))
    assert [score.value for score in found] == pytest.approx([1 / 6, 1 / 2, 1 / 3], abs=1e-4)


def test_a_block_that_only_stretches_turns_nothing():
    found = angular_distance(tiny.engine(tiny.scalar_stack(1.0, -3.0), tiny.batches([[1], [2]], [0, 1])))
    assert [score.value for score in found] == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("build", "data", "last_token"), [(tiny.bert, tiny.random_batches(), False), (tiny.llama, tiny.windows(), True)]
)
def test_equals_a_loop_over_tokens(build, data, last_token: bool):
    engine = tiny.engine(build(), data)
    angles = []
    for batch in data:
        seen = {}
        with torch.no_grad(), engine.layered.capturing(lambda i, x, y, d=seen: d.update({i: (x, y)})):
            engine.layered.model(**batch.inputs)
        for row, length in enumerate(batch.inputs["attention_mask"].sum(1).tolist()):
            for token in range(length - 1 if last_token else 0, length):
                pairs = [(x[row, token], y[row, token]) for x, y in seen.values()]
                angles.append([np.arccos(float(F.cosine_similarity(x, y, dim=0))) / np.pi for x, y in pairs])
    found = angular_distance(engine)
    assert [score.value for score in found] == pytest.approx(np.mean(angles, axis=0), rel=1e-3)
    for score in found:
        assert score.low < score.value < score.high
