"""Models that somebody else fine-tuned, run as they are: with their own heads and labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from xharness.cards import Profile, TaskCard
from xharness.errors import CardError, DataError
from xharness.inference.backbone import Backbone, choose_device
from xharness.inference.packing import Encoded, Hidden, is_causal

# By what an evaluator asks of a model.
CLASSES: dict[str, Any] = {
    "classify": AutoModelForSequenceClassification,
    "choose": AutoModelForMultipleChoice,
    "tag": AutoModelForTokenClassification,
    "extract": AutoModelForQuestionAnswering,
}


class FineTuned(nn.Module):
    """A checkpoint with its head in the place of a `Network`: its hidden states are the logits,
    so that predictors work unchanged. Batches are padded, since heads differ in what they read.

    Raises CardError when the model is of another kind or its labels are not the task's,
    DataError when it lacks tensors.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        identity: Mapping[str, Any],
        task: TaskCard,
        asks: str,
        device: str,
    ) -> None:
        super().__init__()
        self.task = task
        self.asks = asks
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            module, found = CLASSES[asks].from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except ValueError as error:
            raise CardError(f"checkpoint {name!r} can't do {task.kind}: {error}") from error
        if missing := sorted(found["missing_keys"]):
            raise DataError(
                f"checkpoint {name!r} lacks tensors of a {type(module).__name__}: "
                f"{', '.join(missing[:3])}; it is not fine-tuned for {task.kind}"
            )
        self.module = module.eval().to(choose_device(device))
        self.module.config.use_cache = False
        self.order, labels = _order(name, module.config.id2label, task, asks)
        causal = is_causal(module.base_model)
        self.by_length = causal and asks == "classify"
        if self.by_length:
            # Such heads read the last token that is not padding; no token is, in equal lengths.
            module.config.pad_token_id = -1
        info = {
            **identity,
            "architecture": type(module).__name__,
            "parameters": sum(p.numel() for p in module.parameters()),
            "layout": "padded",
            "labels": labels,
        }
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
        self.backbone = Backbone(
            name, module.base_model, tokenizer, Profile(), False, causal=False, info=info
        )

    def hidden(self, sequences: Sequence[Encoded]) -> Hidden:
        """Logits: one row a sequence (pairs, options), or one a token (tags; start and end)."""
        if self.asks in ("classify", "choose"):
            rows = self._rows(sequences)[:, self.order]
            return Hidden(rows, list(range(len(rows))), [1] * len(rows))
        lengths = [len(sequence.ids) for sequence in sequences]
        out = self._run(sequences)
        if self.asks == "extract":
            logits = torch.stack((out.start_logits, out.end_logits), dim=-1)
        else:
            logits = out.logits[:, :, self.order]
        states = torch.cat([row[:n] for row, n in zip(logits, lengths, strict=True)])
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        return Hidden(states.float(), starts, lengths)

    def head(self, given: Hidden | Tensor) -> Tensor:
        """What `hidden` gave are logits already."""
        return given.states if isinstance(given, Hidden) else given

    def _rows(self, sequences: Sequence[Encoded]) -> Tensor:
        if not self.by_length:
            return self._run(sequences).logits.float()  # type: ignore[no-any-return]
        rows: list[Any] = [None] * len(sequences)
        for length in {len(sequence.ids) for sequence in sequences}:
            group = [i for i, sequence in enumerate(sequences) if len(sequence.ids) == length]
            logits = self._run([sequences[i] for i in group]).logits.float()
            for i, row in zip(group, logits, strict=True):
                rows[i] = row
        return torch.stack(rows)

    def _run(self, sequences: Sequence[Encoded]) -> Any:
        device, longest = self.module.device, max(len(s.ids) for s in sequences)
        pad = self.backbone.tokenizer.pad_token_id or 0

        def rows(lists: list[list[int]], filler: int) -> Tensor:
            filled = [[*numbers, *[filler] * (longest - len(numbers))] for numbers in lists]
            batch = torch.tensor(filled, device=device)
            return batch[:, None] if self.asks == "choose" else batch  # (B, 1, T): one option

        inputs = {
            "input_ids": rows([s.ids for s in sequences], pad),
            "attention_mask": rows([[1] * len(s.ids) for s in sequences], 0),
        }
        if sequences[0].types is not None:
            inputs["token_type_ids"] = rows([s.types or [] for s in sequences], 0)
        return self.module(**inputs)


def _order(name: str, found: Mapping[int, str], task: TaskCard, asks: str) -> tuple[list[int], str]:
    """The model's output for each of the card's labels, and how it was found."""
    if asks == "choose":
        return [0], ""
    numbers = {str(label).casefold(): i for i, label in found.items()}
    wanted = [label.casefold() for label in task.labels]
    if set(wanted) <= set(numbers):
        return [numbers[label] for label in wanted], "by name"
    unnamed = all(re.fullmatch(r"label_\d+", label) for label in numbers)
    if asks != "extract" and not (unnamed and len(numbers) == len(wanted)):
        raise CardError(
            f"checkpoint {name!r} has the labels {', '.join(map(str, found.values()))}; "
            f"task {task.name!r} needs {', '.join(task.labels)}"
        )
    return list(range(len(wanted))), "in the card's order, since the checkpoint names none"
