"""What augmentations share: the data stay, and changed copies join them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from xharness.cards import Strict
from xharness.data.edits import Change, edit
from xharness.data.items import FileDigest, Item
from xharness.training.settings import AtLeastOne

# A text and its random numbers -> changes of it.
Proposer = Callable[[str, random.Random], list[Change]]


class Copies(Strict, frozen=True):
    """
    copies  changed copies of each item; one that came out unchanged is left out.
    """

    copies: AtLeastOne = 1

    def augment(self, items: Sequence[Item], seed: int) -> list[Item]:
        """The items, then their copies, with ids of their own. What happens to a text depends on
        the seed, the item's id, the copy and the field alone, not on other items."""
        changes = self.proposer()
        out = list(items)
        for copy in range(1, self.copies + 1):
            for item in items:

                def propose(text: str, field: str, key: str = f"{item.id}/{copy}") -> list[Change]:
                    return changes(text, random.Random(f"{seed}/{key}/{field}"))

                changed = edit(item, propose)
                if changed != item:
                    out.append(replace(changed, id=f"{item.id}#{copy}"))
        return out

    def proposer(self) -> Proposer:
        """The function from a text and its random numbers to changes of it."""
        raise NotImplementedError

    def files(self) -> list[FileDigest]:
        """What is read beside the items."""
        return []
