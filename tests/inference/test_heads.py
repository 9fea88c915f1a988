from __future__ import annotations

import numpy as np
import pytest
import torch

from xharness.inference.heads import PooledHead, ScaleHead, TokenHead, initialise
from xharness.inference.packing import Hidden

STATES = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
HIDDEN = Hidden(STATES, starts=[2, 0], lengths=[3, 2])


def arrays(layer: torch.nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def test_mean_head_is_a_linear_layer_on_the_mean() -> None:
    head = PooledHead(8, 3, "mean", dropout=0.1).eval()
    weight, bias = arrays(head.out)
    states = STATES.numpy()
    expected = np.stack([states[2:].mean(axis=0), states[:2].mean(axis=0)]) @ weight.T + bias
    np.testing.assert_allclose(head(HIDDEN).detach().numpy(), expected, atol=1e-6)


def test_cls_head_puts_a_tanh_layer_between() -> None:
    head = PooledHead(8, 3, "cls", dropout=0.1).eval()
    (inner, inner_bias), (weight, bias) = arrays(head.dense), arrays(head.out)
    first = STATES.numpy()[[2, 0]]
    expected = np.tanh(first @ inner.T + inner_bias) @ weight.T + bias
    np.testing.assert_allclose(head(HIDDEN).detach().numpy(), expected, atol=1e-6)


def test_scale_head_multiplies_similarities_by_a_hundred() -> None:
    unit = torch.eye(3)
    assert torch.equal(ScaleHead()(unit, unit), 100.0 * torch.eye(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_fp32(dtype: torch.dtype) -> None:
    hidden = HIDDEN._replace(states=STATES.to(dtype))
    for pooling in ("mean", "cls"):
        assert PooledHead(8, 3, pooling, 0.1)(hidden).dtype is torch.float32
    assert TokenHead(8, 2, 0.1)(hidden.states).dtype is torch.float32


def test_a_seed_fixes_the_head_whatever_was_drawn_before() -> None:
    heads = []
    for seed, drawn in ((1, 0), (1, 5), (2, 0)):
        torch.rand(drawn)
        head = PooledHead(64, 4, "cls", 0.1)
        initialise(head, seed)
        heads.append(head.state_dict())
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert not torch.equal(heads[0]["out.weight"], heads[2]["out.weight"])
    assert heads[0]["dense.weight"].std() == pytest.approx(0.02, rel=0.05)
    assert not heads[0]["out.bias"].any()
