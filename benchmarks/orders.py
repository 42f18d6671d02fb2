"""The figures of docs/context-models.md: at which step each latent is decoded, from the masks.

python benchmarks/orders.py
"""

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from corelic.codecs import spec_json
from corelic.codecs.context.base import ContextModel

PAGE = Path(__file__).parents[1] / "docs" / "context-models.md"
CHANNELS, SIDE = 160, 8
SHOWN = 5  # groups of channels beside each other


def steps_of(context: ContextModel) -> Tensor:
    """(M, h, w): the step that decodes each latent."""
    masks = torch.stack(context.masks(torch.Size((1, CHANNELS, SIDE, SIDE))))
    return masks.int().argmax(0)


def groups_of(steps: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Consecutive channels that are decoded alike, and their steps (h, w)."""
    first = 0
    for channel in range(1, len(steps) + 1):
        if channel == len(steps) or not steps[channel].equal(steps[first]):
            yield f"channels {first}–{channel - 1}", steps[first]
            first = channel


def figure(kind: str) -> str:
    """Text: a square of 8 × 8 latents for each group of channels; numbers are steps."""
    context = spec_json.kinds("context")[kind].sized(CHANNELS).build()
    groups = list(groups_of(steps_of(context)))
    columns = [
        [name, *(" ".join(f"{step}" for step in row) for row in steps.tolist())]
        for name, steps in groups[:SHOWN]
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
    more = len(groups) - SHOWN
    passes = f"{context.steps} steps" if context.steps > 1 else "one step"
    told = f", and {more} groups more" if more > 0 else ""
    return "\n".join(f"    {line}".rstrip() for line in (*lines, "", f"{passes}{told}"))


def with_figures(page: str) -> str:
    """The page with each figure as the code has it now."""
    return re.sub(
        r"<!-- order: (\w+) -->\n.*?<!-- end -->",
        lambda found: f"<!-- order: {found[1]} -->\n{figure(found[1])}\n<!-- end -->",
        page,
        flags=re.DOTALL,
    )


def main() -> None:
    PAGE.write_text(with_figures(PAGE.read_text()))


if __name__ == "__main__":
    main()
