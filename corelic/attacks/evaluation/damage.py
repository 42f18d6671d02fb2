"""What an attacked picture does to a victim: bytes of real files, pixels of decoded pictures.

clean ────► code ─► bytes, C(x)   ┐
attacked ─► code ─► bytes, C(x')  ┴─► Damage ─► means over pictures: Row

A victim that draws lots codes both with those of the clean picture: C is one codec, not two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from corelic.attacks.attack import AttackResult
from corelic.attacks.bands import high_share
from corelic.attacks.draws import Draws
from corelic.attacks.evaluation.matching import matched
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

    @property
    def vi_db(self) -> float | None:
        """10 log10(MSE of the outputs / MSE of the inputs), VI of Chen & Ma (arXiv:2112.08691).

        None where either is zero, and nothing was attacked or nothing came of it.
        """
        if math.isinf(self.input_psnr_db) or math.isinf(self.output_psnr_db):
            return None
        return self.input_psnr_db - self.output_psnr_db

    @property
    def bytes_ratio(self) -> float:
        """Also that of bpp: the pictures are of one size."""
        return self.attacked_bytes / self.clean_bytes

    @property
    def psnr_loss_db(self) -> float:
        """ΔPSNR: C(x) against x, minus C(x') against x'."""
        return self.clean_psnr_db - self.attacked_psnr_db

    @property
    def source_loss_db(self) -> float:
        """C(x) against x, minus C(x') against x."""
        return self.clean_psnr_db - self.source_psnr_db

    @property
    def ms_ssim_loss(self) -> float | None:
        """ΔMS-SSIM, as ΔPSNR."""
        if self.clean_ms_ssim is None or self.attacked_ms_ssim is None:
            return None
        return self.clean_ms_ssim - self.attacked_ms_ssim


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
        """Over the pictures that have it; None where none does."""
        found = [value for value in map(figure, self.damages) if value is not None]
        return fmean(found) if found else None

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
            damages=self.damages(result.pictures),
            moved=sum(result.succeeded),
            flat=sum(result.flat),
            passes=result.passes,
            queries=result.queries,
            seconds=result.seconds,
        )

    def damages(self, attacked: Sequence[Picture]) -> tuple[Damage, ...]:
        clean = zip(self.names, self.pictures, self.coded, strict=True)
        return tuple(
            self.damage(*one, _as_rgb(picture))
            for one, picture in zip(clean, attacked, strict=True)
        )

    def code(self, attacked: Picture, clean: Picture) -> Coded:
        """Of a version of one of these pictures, with the lots that the clean one has drawn."""
        return self.victim.code(attacked, Draws(clean))

    def damage(self, name: str, clean: Picture, coded: Coded, attacked: Picture) -> Damage:
        found = self.code(attacked, clean)
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
