"""What encode and decode do alike with -r: run over a planned tree, and add up what came of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Protocol

from corelic.cli.show import print_json
from corelic.console import printable
from corelic.jobs import Job, Outcome, run
from corelic.tree import Tree

KINDS_NAMED_AT_MOST = 5


class Figures(Protocol):
    """Of one file: a frozen dataclass, as JSON shows it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def source_bytes(self) -> int: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def width_px(self) -> int: ...
    @property
    def height_px(self) -> int: ...
    @property
    def rate_bpp(self) -> float:
        """Of the .clc file, whichever side it is on."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one run; bytes, rate and time are about the files that it did.

    left_out  files that are not of the kind that is read
    rate_bpp  bits of all .clc files per pixel of all pictures; None where there are none
    """

    done: int
    skipped: int
    left_out: int
    failed: int
    source_bytes: int
    file_bytes: int
    rate_bpp: float | None
    elapsed_s: float

    def sentence(self, done: str, kinds: str) -> str:
        """With `done` as the word for it, and what is known of the files left out."""
        counts = (
            f"{self.done} {done}, {self.skipped} skipped, "
            f"{self.left_out} left out{kinds}, {self.failed} failed"
        )
        if self.rate_bpp is None:
            return counts
        sizes = f"{self.source_bytes:,} → {self.file_bytes:,} bytes, {self.rate_bpp:.3f} bpp"
        return f"{counts}; {sizes}, {self.elapsed_s:.2f} s"


def run_tree(
    tree: Tree,
    work: Callable[[Job], Figures],
    is_done: Callable[[Job], bool] | None,
    *,
    processes: int,
    done: str,
    as_json: bool,
) -> None:
    """Prints totals, with `done` as the word for it; JobsFailedError where some of it failed."""
    start = perf_counter()
    outcome = run(tree.jobs, work, is_done=is_done, failures=tree.failures, processes=processes)
    totals = _totals(outcome, len(tree.left_out), perf_counter() - start)
    if as_json:
        print_json(
            {
                "files": [asdict(found) for found in outcome.results],
                "skipped": [
                    {"source": str(job.source), "output": str(job.output)}
                    for job in outcome.skipped
                ],
                "failures": [
                    {"source": failure.name, "error": str(failure.error)}
                    for failure in outcome.failures
                ],
                "left_out_files": [str(path) for path in tree.left_out],
                "totals": asdict(totals),
            }
        )
    else:
        print(totals.sentence(done, _kinds(tree.left_out)))
    outcome.raise_failures()


def _kinds(left_out: Sequence[Path]) -> str:
    """` (.heic 480, .dng 20)`: by suffix, the most first."""
    counts = Counter(_kind(path) for path in left_out)
    first = sorted(counts.items(), key=lambda kind: (-kind[1], kind[0]))[:KINDS_NAMED_AT_MOST]
    named = [f"{kind} {count}" for kind, count in first]
    if len(counts) > len(named):
        named.append(f"others {len(left_out) - sum(count for _, count in first)}")
    return f" ({', '.join(named)})" if named else ""


def _kind(path: Path) -> str:
    if path.name.startswith("._"):  # what macOS lays beside a picture, under its suffix
        return "._ companions"
    return printable(path.suffix.lower()) or "no suffix"


def _totals(outcome: Outcome[Figures], left_out: int, elapsed_s: float) -> Totals:
    results = outcome.results
    pixels = sum(found.width_px * found.height_px for found in results)
    bits = sum(found.rate_bpp * found.width_px * found.height_px for found in results)
    return Totals(
        done=len(results),
        skipped=len(outcome.skipped),
        left_out=left_out,
        failed=len(outcome.failures),
        source_bytes=sum(found.source_bytes for found in results),
        file_bytes=sum(found.file_bytes for found in results),
        rate_bpp=bits / pixels if pixels else None,
        elapsed_s=elapsed_s,
    )
