"""docs/robustness.md: what all sections have to say, and what it was measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

from robustness_study.study import Study


def written(
    study: Study,
    size: str,
    sections: Sequence[ModuleType],
    machines: Sequence[Mapping[str, object]],
) -> str:
    """machines  on which cells were measured"""
    on = "; ".join(f"{facts['cpu']}, {facts['threads']} thread(s)" for facts in machines)
    cells = [cell.name for section in sections for cell in section.cells(study)]
    missing = [name for name in cells if study.measured(name) is None]
    intro = f"""# Robustness

Written by `python benchmarks/robustness.py --size {size} --codecs {",".join(study.codecs)}`, from
real files: attacked pictures are 8-bit samples within their budget, coded and decoded by the codec
itself.

**Mind the size**: {study.size.crops} crops of {study.size.crop_px} px from the middle of Kodak
pictures ({", ".join(study.names)}), {", ".join(study.codecs)}; `--size full` takes 24 crops of
256 px. Figures of so few crops tell which effects are large, not how large they are to the second
digit. Measured on {on}.
"""
    if missing:
        intro += f"\nNot measured yet: {len(missing)} of {len(cells)} cells.\n"
    pages = [
        section.page(study)
        for section in sections
        if any(study.measured(cell.name) is not None for cell in section.cells(study))
    ]
    return "\n".join([intro, *pages]).rstrip() + "\n"
