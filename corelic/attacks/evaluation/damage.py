"""What an attacked picture does to a victim: bytes of real files, pixels of decoded pictures.

clean ────► code ─► bytes, C(x)   ┐
attacked ─► code ─► bytes, C(x')  ┴─► Damage ─► means over pictures: Row

Equal pictures have a PSNR of infinity; as a mean or a difference that says nothing, so it is left
out of both, and a row says of how many pictures.

A victim that draws lots codes both with those of the clean picture: C is one codec, not two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from corelic.attacks.attack import AttackResult
from corelic.attacks.bands import high_share
from corelic.attacks.draws import Draws
from corelic.attacks.evaluation.matching import matched
from corelic.attacks.objectives.base import Objective, Scene
from corelic.attacks.oracle import reconstruction
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Coded, Victim
from corelic.codecs.base import ImageCodec
from corelic.eval.metrics import ms_ssim, psnr_db
from corelic.media import Picture


@dataclass(frozen=True, slots=True)
class Damage:
    """One picture. PSNR and MS-SSIM are of 8-bit RGB; inf dB is of equal pictures.

    linf_levels       largest change of a sample, of 255
    input_psnr_db     x' against x
    input_ms_ssim     the same; None under 161 pixels a side, as are all MS-SSIMs
    high_share        of the perturbation's energy, from 1/4 cycle per pixel on
    clean_bytes       file of x
    attacked_bytes    file of x'
    clean_psnr_db     C(x) against x
    attacked_psnr_db  C(x') against x': what the codec itself believes that it loses
    output_psnr_db    C(x') against C(x)
    source_psnr_db    C(x') against x: what a viewer loses
    clean_ms_ssim     C(x) against x
    attacked_ms_ssim  C(x') against x'
    score_before      of the attack's objective, from both files of x; None of a picture that is no
                      attack's, as are the next
    score_after       from the files of x and x'
    class_before      what a task sees in C(x); None where the objective is no task
    class_after       in C(x')
    """

    picture: str
    width_px: int
    height_px: int
    linf_levels: int
    input_psnr_db: float
    input_ms_ssim: float | None
    high_share: float
    clean_bytes: int
    attacked_bytes: int
    clean_psnr_db: float
    attacked_psnr_db: float
    output_psnr_db: float
    source_psnr_db: float
    clean_ms_ssim: float | None
    attacked_ms_ssim: float | None
    score_before: float | None = None
    score_after: float | None = None
    class_before: int | None = None
    class_after: int | None = None

    @property
    def vi_db(self) -> float | None:
        """10 log10(MSE of the outputs / MSE of the inputs), VI of Chen & Ma (arXiv:2112.08691).

        None where either is zero, and nothing was attacked or nothing came of it.
        """
        return loss_db(self.input_psnr_db, self.output_psnr_db)

    @property
    def has_equal_pictures(self) -> bool:
        """Whether a PSNR is infinite."""
        inputs = self.input_psnr_db, self.clean_psnr_db, self.attacked_psnr_db
        return math.inf in (*inputs, self.output_psnr_db, self.source_psnr_db)

    @property
    def bytes_ratio(self) -> float:
        """Also that of bpp: the pictures are of one size."""
        return self.attacked_bytes / self.clean_bytes

    @property
    def psnr_loss_db(self) -> float | None:
        """ΔPSNR: C(x) against x, minus C(x') against x'; None where either is infinite."""
        return loss_db(self.clean_psnr_db, self.attacked_psnr_db)

    @property
    def source_loss_db(self) -> float | None:
        """C(x) against x, minus C(x') against x; None where either is infinite."""
        return loss_db(self.clean_psnr_db, self.source_psnr_db)

    @property
    def ms_ssim_loss(self) -> float | None:
        """ΔMS-SSIM, as ΔPSNR."""
        if self.clean_ms_ssim is None or self.attacked_ms_ssim is None:
            return None
        return self.clean_ms_ssim - self.attacked_ms_ssim


def loss_db(before: float, after: float) -> float | None:
    """None where a lossless picture is among the two: it has no dB."""
    return before - after if math.isfinite(before) and math.isfinite(after) else None


@dataclass(frozen=True, slots=True)
class Row:
    """One attack on one victim over some pictures: a line of a table.

    attack    its title
    victim    whose files these are; not always the one that was attacked
    damages   by picture
    moved     how many frames the attack moved towards its aim, as it saw it
    flat      how many never had a gradient
    passes    over all clips, as are queries and seconds
    """

    attack: str
    victim: str
    damages: tuple[Damage, ...]
    moved: int
    flat: int
    passes: int
    queries: int
    seconds: float

    def mean(self, figure: Callable[[Damage], float | None]) -> float | None:
        """Over the pictures that have it, and not infinite; None where none does."""
        values = map(figure, self.damages)
        found = [value for value in values if value is not None and math.isfinite(value)]
        return fmean(found) if found else None

    @property
    def infinite(self) -> int:
        """How many pictures have an infinite PSNR, which is in no mean."""
        return sum(damage.has_equal_pictures for damage in self.damages)

    @property
    def left_out(self) -> str:
        """The same for a table; empty where there are none."""
        count = self.infinite
        return f"infinite PSNR of {count} of {len(self.damages)} left out" if count else ""

    @property
    def score_before(self) -> float | None:
        return self.mean(lambda damage: damage.score_before)

    @property
    def score_after(self) -> float | None:
        return self.mean(lambda damage: damage.score_after)

    @property
    def reclassified(self) -> int | None:
        """How many pictures a task sees as something else; None where the aim is no task."""
        pairs = [(damage.class_before, damage.class_after) for damage in self.damages]
        looked = [(before, after) for before, after in pairs if before is not None]
        return sum(before != after for before, after in looked) if looked else None

    @property
    def bytes_ratio(self) -> float:
        """Mean of the pictures' ratios."""
        return fmean(damage.bytes_ratio for damage in self.damages)

    @property
    def vi_db(self) -> float | None:
        return self.mean(lambda damage: damage.vi_db)

    @property
    def output_psnr_db(self) -> float | None:
        return self.mean(lambda damage: damage.output_psnr_db)

    @property
    def input_psnr_db(self) -> float | None:
        return self.mean(lambda damage: damage.input_psnr_db)

    @property
    def psnr_loss_db(self) -> float | None:
        return self.mean(lambda damage: damage.psnr_loss_db)

    @property
    def source_loss_db(self) -> float | None:
        return self.mean(lambda damage: damage.source_loss_db)

    @property
    def ms_ssim_loss(self) -> float | None:
        return self.mean(lambda damage: damage.ms_ssim_loss)

    @property
    def high_share(self) -> float | None:
        return self.mean(lambda damage: damage.high_share)

    @property
    def linf_levels(self) -> int:
        """The largest of all."""
        return max(damage.linf_levels for damage in self.damages)


def joined(rows: Sequence[Row]) -> Row:
    """One attack on one victim, picture by picture, as one row.

    A control has its own quality for each picture: then the title is of the first, and says so.
    """
    others = len({row.victim for row in rows}) - 1
    return Row(
        attack=rows[0].attack,
        victim=rows[0].victim + (f" and {others} more" if others else ""),
        damages=tuple(damage for row in rows for damage in row.damages),
        moved=sum(row.moved for row in rows),
        flat=sum(row.flat for row in rows),
        passes=sum(row.passes for row in rows),
        queries=sum(row.queries for row in rows),
        seconds=sum(row.seconds for row in rows),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame: an objective's score, and the class that a task sees."""

    score: float
    seen_as: int | None


class CleanSide:
    """A victim's files of the clean pictures, made once for all attacks on them."""

    def __init__(self, victim: Victim, pictures: Sequence[Picture], names: Sequence[str]) -> None:
        self.victim, self.names = victim, tuple(names)
        # As attacks see them: 8 bits of colour.
        self.pictures = tuple(_as_rgb(picture) for picture in pictures)
        self.coded = tuple(victim.code(picture) for picture in self.pictures)

    def beside(self, control: ImageCodec) -> CleanSide:
        """The same pictures through a classical codec whose PSNR on them is as high."""
        pairs = zip(self.pictures, self.coded, strict=True)
        wanted = fmean(psnr_db(one.pixels, coded.picture.pixels) for one, coded in pairs)
        return CleanSide(matched(control, self.pictures, wanted), self.pictures, self.names)

    def row(self, result: AttackResult, *, title: str | None = None) -> Row:
        """Of an attack on these pictures, whoever it aimed at."""
        return Row(
            attack=title or result.title,
            victim=self.victim.title,
            damages=self.damages(result.pictures, result.objective),
            moved=sum(result.succeeded),
            flat=sum(result.flat),
            passes=result.passes,
            queries=result.queries,
            seconds=result.seconds,
        )

    def damages(
        self, attacked: Sequence[Picture], objective: Objective | None = None
    ) -> tuple[Damage, ...]:
        """Of versions of these pictures; with scores, where there is an objective."""
        pictures = tuple(map(_as_rgb, attacked))
        coded = tuple(self.code(*both) for both in zip(pictures, self.pictures, strict=True))
        clean = zip(self.names, self.pictures, self.coded, strict=True)
        pairs = zip(clean, zip(pictures, coded, strict=True), strict=True)
        damages = tuple(damage(*one, *other) for one, other in pairs)
        if objective is None:
            return damages
        before = self.judged(objective, self.pictures, self.coded)
        after = self.judged(objective, pictures, coded)
        return tuple(
            replace(
                one,
                score_before=first.score,
                score_after=then.score,
                class_before=first.seen_as,
                class_after=then.seen_as,
            )
            for one, first, then in zip(damages, before, after, strict=True)
        )

    @torch.no_grad()
    def judged(
        self, objective: Objective, pictures: Sequence[Picture], coded: Sequence[Coded]
    ) -> list[Judged]:
        """By the real thing, as `Oracle` has it, without coding anything again."""
        clean, reference = clip_of(self.pictures), reconstruction(self.coded)
        scene = Scene(clean, clip_of(pictures), reference, reconstruction(coded))
        scores, classes = objective(scene).tolist(), objective.classes(scene)
        seen = [None] * len(scores) if classes is None else classes.tolist()
        return [Judged(*one) for one in zip(scores, seen, strict=True)]

    def code(self, attacked: Picture, clean: Picture) -> Coded:
        """Of a version of one of these pictures, with the lots that the clean one has drawn."""
        return self.victim.code(attacked, Draws(clean))


def damage(name: str, clean: Picture, coded: Coded, attacked: Picture, found: Coded) -> Damage:
    """coded, found: of the clean picture, of the attacked one."""
    x, x_attacked = clean.pixels, attacked.pixels
    y, y_attacked = coded.picture.pixels, found.picture.pixels
    change = clip_of([attacked]) - clip_of([clean])
    return Damage(
        picture=name,
        width_px=clean.width_px,
        height_px=clean.height_px,
        linf_levels=int(np.abs(x_attacked.astype(int) - x).max()),
        input_psnr_db=psnr_db(x, x_attacked),
        input_ms_ssim=ms_ssim(x, x_attacked),
        high_share=float(high_share(change).item()),
        clean_bytes=coded.file_bytes,
        attacked_bytes=found.file_bytes,
        clean_psnr_db=psnr_db(x, y),
        attacked_psnr_db=psnr_db(x_attacked, y_attacked),
        output_psnr_db=psnr_db(y, y_attacked),
        source_psnr_db=psnr_db(x, y_attacked),
        clean_ms_ssim=ms_ssim(x, y),
        attacked_ms_ssim=ms_ssim(x_attacked, y_attacked),
    )


def _as_rgb(picture: Picture) -> Picture:
    pixels = picture.in_8_bits().pixels
    return Picture(pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2))
