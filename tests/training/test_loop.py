"""The loop does what its recipe says, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from xharness.cards import Profile, Recipe, TaskCard
from xharness.data.items import Pair, Sentence
from xharness.errors import DataError, XharnessError
from xharness.inference.backbone import load_backbone
from xharness.inference.network import Example, Network
from xharness.testing.toys import WORDS, make_backbone
from xharness.training import loop
from xharness.training.adversaries.freelb import FreeLB
from xharness.training.adversaries.noise import Noise
from xharness.training.adversaries.pgd import PGD
from xharness.training.adversaries.plain import Plain
from xharness.training.adversaries.r3f import R3F
from xharness.training.adversaries.smart import SMART
from xharness.training.adversaries.vat import VAT

RECIPE = Recipe(name="toy", learning_rate=0.003, epochs=3, batch_size=8, warmup=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    make_backbone(folder)
    return folder


def make_network(
    folder: Path, kind: str = "classification", asks: str = "classify", labels: Any = ("yes", "no")
) -> Network:
    task = TaskCard(
        name="toy", kind=kind, description="", languages=["en"], metric="accuracy",
        official=["accuracy"], score=["accuracy"], labels=list(labels),
    )  # fmt: skip
    backbone = load_backbone(
        str(folder), device="cpu", profile=Profile(), cache=folder, registered={}
    )
    return Network(backbone, task, asks, seed=1)


def make_examples(network: Network, count: int = 27) -> list[Example]:
    generator = random.Random(0)
    items = []
    for i in range(count):
        label = generator.choice(["yes", "no"])
        words = generator.choices(WORDS, k=generator.randint(0, 5))
        text = " ".join([{"yes": "cat", "no": "dog"}[label], *words])
        items.append(Pair(str(i), text, "the house", label))
    return network.examples(items, RECIPE, generator)


def weights(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def run(folder: Path, state: Path, recipe: Recipe = RECIPE, **more: Any) -> Network:
    network = make_network(folder)
    plain = {"adversary": Plain(), "seed": 5, "state": state, "on_step": lambda *_: None}
    options = plain | more
    loop.train(network, make_examples(network), recipe, **options)
    return network


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in one)


class Killed(BaseException):
    pass


def killer(at: int) -> Any:
    def on_step(step: int, _steps: int, _loss: float) -> None:
        if step == at:
            raise Killed

    return on_step


@pytest.mark.parametrize("kills", [[2], [5, 6, 9], [1, 4, 8, 11]])
def test_a_killed_training_ends_with_the_same_weights_bit_for_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: list[int]
) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0.0)
    scores = iter([])

    def dev_score() -> float:
        return next(scores)

    selecting = msgspec.structs.replace(RECIPE, select="dev")
    scores = iter([3.0, 9.0, 5.0])
    whole = run(folder, tmp_path / "whole", selecting, dev_score=dev_score)
    scores = iter([3.0, 9.0, 5.0])
    for kill in kills:
        with pytest.raises(Killed):
            run(folder, tmp_path / "state", selecting, dev_score=dev_score, on_step=killer(kill))
        assert (tmp_path / "state").is_file() == (kill > 1)
    resumed = run(folder, tmp_path / "state", selecting, dev_score=dev_score)
    assert_equal(weights(whole), weights(resumed))


@pytest.mark.parametrize("left", [5000, 30, 0])
def test_a_damaged_state_is_named_and_not_taken_for_no_state(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0.0)
    state = tmp_path / "state"
    with pytest.raises(Killed):
        run(folder, state, on_step=killer(5))
    state.write_bytes(state.read_bytes()[:left])
    with pytest.raises(DataError, match="state, from which .* is damaged .*; delete it, and"):
        run(folder, state)
    assert state.stat().st_size == left


@pytest.mark.parametrize(
    "adversary", [FreeLB(), PGD(start=0.1), SMART(), R3F(), VAT(), Noise()], ids=lambda a: a.name
)
def test_killed_it_goes_on_bit_for_bit_with_an_adversary_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adversary: Any
) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0.0)
    # Several passes a step, and embeddings that are trained: their norm must not be taken anew.
    monkeypatch.setitem(loop.PACK_TOKENS, "cpu", 60)
    facts = []
    networks = [make_network(folder) for _ in range(3)]
    for network, on_step in zip(
        networks, (lambda *_: None, killer(7), lambda *_: None), strict=True
    ):
        state = tmp_path / ("whole" if network is networks[0] else "state")
        try:
            told = loop.train(
                network, make_examples(network), RECIPE, adversary=adversary, seed=5, state=state,
                on_step=on_step,
            )  # fmt: skip
        except Killed:
            continue
        facts.append(told)
    assert_equal(weights(networks[0]), weights(networks[2]))
    assert facts[0] == facts[1]
    assert facts[0]["perturbation_norm"] > 0


def test_an_adversary_leaves_order_and_head_as_they_were(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Any]] = {"plain": [], "freelb": [], "noise": []}

    def watch(adversary: Any) -> Any:
        class Watched:
            name = adversary.name

            def accumulate(self, batch: Any, forward: Any, weight: float) -> float:
                state = torch.get_rng_state()
                seen[adversary.name].append(([e.sequences for e in batch], state, weight))
                return float(adversary.accumulate(batch, forward, weight))

        return Watched()

    monkeypatch.setitem(loop.PACK_TOKENS, "cpu", 60)
    starts = []
    for adversary in (Plain(), FreeLB(), Noise(passes=2)):
        network = make_network(folder)
        starts.append(weights(network))
        loop.train(
            network, make_examples(network), RECIPE, adversary=watch(adversary), seed=5,
            state=tmp_path / "s", on_step=lambda *_: None,
        )  # fmt: skip
    assert_equal(starts[0], starts[1])
    for name in ("freelb", "noise"):
        for one, other in zip(seen["plain"], seen[name], strict=True):
            assert one[0] == other[0]
            assert torch.equal(one[1], other[1])  # dropout goes on as in plain training, too
            assert one[2] == other[2]


def test_attacks_that_overflow_are_said_at_the_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accumulate(self: Plain, batch: Any, forward: Any, weight: float) -> float:
        forward.count("non_finite_attacks", 2)
        return forward.backward(forward(batch).loss, weight)

    monkeypatch.setattr(Plain, "accumulate", accumulate)
    with pytest.warns(UserWarning, match="24 attacks had a gradient that is not finite"):
        run(folder, tmp_path / "s")


def test_dev_selection_keeps_the_first_best_and_last_keeps_the_last(
    folder: Path, tmp_path: Path
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    network = make_network(folder)
    scores = iter([1.0, 2.0, 2.0])

    def dev_score() -> float:
        seen.append(weights(network))
        return next(scores)

    recipe = msgspec.structs.replace(RECIPE, select="dev")
    loop.train(
        network, make_examples(network), recipe, adversary=Plain(), seed=5, state=tmp_path / "s",
        on_step=lambda *_: None, dev_score=dev_score,
    )  # fmt: skip
    assert len(seen) == 3
    assert_equal(weights(network), seen[1])
    assert_equal(weights(run(folder, tmp_path / "s")), seen[2])


def test_small_passes_add_up_to_the_whole_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(folder)
    network.eval()  # no dropout: the sums must agree
    examples = make_examples(network, 11)
    network(examples).loss.backward()
    expected = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    passes = list(loop.micro_batches(examples, 40))
    assert len(passes) > 2
    assert [e for group in passes for e in group] == examples
    for group in passes:
        (network(group).loss * (len(group) / len(examples))).backward()
    for name, parameter in network.named_parameters():
        if name in expected and parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, expected[name], atol=1e-5, rtol=1e-3)


def test_where_the_loop_cuts_a_batch_of_unequal_sentences_changes_no_weight(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(0)
    items = []
    for i in range(13):
        words = tuple(generator.choices(WORDS, k=generator.randint(1, 9)))
        items.append(Sentence(str(i), words, tuple("AB"[len(word) % 2] for word in words)))
    # Gradients that are 0 but for rounding must not become steps.
    recipe = msgspec.structs.replace(RECIPE, adam_epsilon=1e-4)
    told = []
    for budget in (10_000, 30):
        monkeypatch.setitem(loop.PACK_TOKENS, "cpu", budget)
        network = make_network(folder, "tagging", "tag", ["A", "B"])
        for part in network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        losses: list[float] = []
        facts = loop.train(
            network, network.examples(items, recipe, generator), recipe, adversary=FreeLB(), seed=5,
            state=tmp_path / "s", on_step=lambda _step, _steps, loss, to=losses: to.append(loss),
        )  # fmt: skip
        told.append((facts["forward_passes"], losses, weights(network)))
    (whole, one, expected), (cut, other, found) = told
    assert cut > 1.5 * whole
    assert other == pytest.approx(one, abs=1e-4)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-3, msg=name)


def test_each_step_has_noise_of_its_own_however_it_is_cut(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watched(Plain, frozen=True):
        def accumulate(self, batch: Any, forward: Any, weight: float) -> float:
            seen[-1] += forward.noise_seeds(batch)
            return Plain.accumulate(self, batch, forward, weight)

    seen: list[list[int]] = []
    for budget in (10_000, 60):
        monkeypatch.setitem(loop.PACK_TOKENS, "cpu", budget)
        seen.append([])
        run(folder, tmp_path / "s", adversary=Watched())
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(set(seen[0])) == 3 * 27
    seen.append([])
    run(folder, tmp_path / "s", adversary=Watched(), seed=6)
    assert not set(seen[0]) & set(seen[2])


@pytest.mark.parametrize(
    ("step", "steps", "warmup", "share"),
    [(0, 10, 0.0, 1.0), (5, 10, 0.0, 0.5), (0, 10, 0.2, 0.0), (1, 10, 0.2, 0.5), (2, 10, 0.2, 1.0),
     (6, 10, 0.2, 0.5), (1, 10, 2, 0.5), (9, 10, 0.0, 0.1), (50, 100, 500, 0.1)],
)  # fmt: skip
def test_the_rate_warms_up_and_decays_in_straight_lines(
    step: int, steps: int, warmup: float, share: float
) -> None:
    assert loop.rate_factor(step, steps, warmup) == pytest.approx(share)


def test_streams_differ_by_name_and_seed_and_repeat() -> None:
    seeds = {loop.stream(s, n, i) for s in (1, 2) for n in ("order", "dropout") for i in range(50)}
    assert len(seeds) == 200
    assert loop.stream(1, "order", 3) == loop.stream(1, "order", 3)


def test_training_lowers_the_loss_and_frozen_embeddings_stay(folder: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    network = make_network(folder)
    before = weights(network)
    for parameter in network.module.embeddings.parameters():
        parameter.requires_grad_(False)
    recipe = msgspec.structs.replace(RECIPE, epochs=20)
    loop.train(
        network, make_examples(network), recipe, adversary=Plain(), seed=1, state=tmp_path / "s",
        on_step=lambda _step, _steps, loss: losses.append(loss),
    )  # fmt: skip
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    for name, value in weights(network).items():
        assert torch.equal(value, before[name]) == (".embeddings." in name), name


def test_a_loss_that_is_not_finite_is_said_with_its_step(folder: Path, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, learning_rate=1e30)
    with pytest.raises(XharnessError, match=r"the loss is (nan|inf) at step"):
        run(folder, tmp_path / "s", recipe)


class Rootless:
    """As plain training, until at one step a root of 0 joins the loss: it has no slope there."""

    name = "rootless"

    def __init__(self, healthy: int) -> None:
        self.left = healthy

    def accumulate(self, batch: Any, forward: Any, weight: float) -> float:
        outputs = forward(batch)
        loss = outputs.loss
        if self.left == 0:
            loss = loss + (outputs.logits - outputs.logits.detach()).square().sum().sqrt()
        self.left -= 1
        return float(forward.backward(loss, weight))


@pytest.mark.parametrize("healthy", [4, 11])
def test_a_gradient_that_is_not_finite_spoils_neither_weights_nor_state(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, healthy: int
) -> None:
    # The loss is fine, so it would be seen a step later, or, after the last step, never.
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0.0)
    message = f"the gradient's norm is nan at step {healthy + 1} of 12"
    with pytest.raises(XharnessError, match=message):
        run(folder, tmp_path / "state", adversary=Rootless(healthy))
    resumed = run(folder, tmp_path / "state")
    assert_equal(weights(resumed), weights(run(folder, tmp_path / "whole")))


def test_nothing_to_train_on_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(XharnessError, match="nothing to train on"):
        loop.train(
            make_network(folder), [], RECIPE, adversary=Plain(), seed=1, state=tmp_path / "s",
            on_step=lambda *_: None,
        )  # fmt: skip
