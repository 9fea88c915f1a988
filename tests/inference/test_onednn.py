from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from xharness.inference import onednn
from xharness.inference.onednn import fast_linears

INPUT = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.fixture
def _switched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where the path was found faster, if torch has it at all."""
    x = torch.ones(2, 3)
    try:
        onednn._onednn(x, x, None)
    except (RuntimeError, AttributeError):
        pytest.skip("this torch has no oneDNN linear")
    monkeypatch.setattr(onednn, "gemm", lambda: "onednn")


@pytest.mark.usefixtures("_switched")
@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "distilbert", "deberta-v2"])
def test_both_paths_give_the_same_states(
    architecture: str, make_module: Callable[..., PreTrainedModel]
) -> None:
    module = make_module(architecture)
    with torch.inference_mode():
        expected = module(INPUT).last_hidden_state
        with fast_linears(module):
            linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
            assert linears
            assert all("forward" in vars(part) for part in linears)
            got = module(INPUT).last_hidden_state
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("_switched")
def test_the_module_is_as_before_after_the_block(
    make_module: Callable[..., PreTrainedModel],
) -> None:
    module = make_module("bert")

    def fail() -> None:
        with fast_linears(module):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not [part for part in module.modules() if "forward" in vars(part)]
    module(INPUT).last_hidden_state.sum().backward()
    assert module.encoder.layer[0].intermediate.dense.weight.grad.abs().sum() > 0


@pytest.mark.usefixtures("_switched")
def test_blocks_may_be_nested() -> None:
    module = nn.Linear(3, 2)
    with torch.inference_mode(), fast_linears(module):
        with fast_linears(module):
            module(torch.ones(1, 3))
        assert "forward" in vars(module)
    assert "forward" not in vars(module)


@pytest.mark.usefixtures("_switched")
def test_other_precisions_and_kinds_of_layers_are_left_alone() -> None:
    class Special(nn.Linear):
        pass

    module = nn.Sequential(nn.Linear(3, 3).bfloat16(), Special(3, 3))
    with fast_linears(module):
        assert not [part for part in module if "forward" in vars(part)]
