"""One picture, quantised at one quality after another: what a search for a target is made of.

    picture ─ analysis ─► y ─ gain of a quality ─► hyper-latents ─► steps of the context ─► ŷ

The analysis depends on the quality, too, but weakly: of the latents that it finds for one quality,
those of a few units more or less are made by another gain. So it runs once for a good guess, and
again only where that proves bad. Hyper-latents, and with them the first step of the context, serve
again for a quality that is nearer still, but where they are sought for each quality.

To measure what a quality decodes to, the context need not be exact, nor run again each time: the
means that it gave at one quality, in float32, make drafts of ŷ under the gains of others.

    y, gain of one ─ context in float32 ─┬─► a draft of ŷ ─ synthesis ─► error
                                         └─► means, without their gain ─┐
                                                    y, gain of another ─┴─► another draft ─ …

At up to eight units of quality from there, PSNRs of drafts are right to 0.02 dB (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from corelic.codecs.context.base import ContextModel
from corelic.codecs.files import FileCodec, colour_of
from corelic.codecs.passes import Passes, Progress, Quantised, Start
from corelic.codecs.rate import QUALITY_MAX, QUALITY_STEPS, nearest_node
from corelic.codecs.tiling import Area
from corelic.codecs.wiener import CHUNK_BITS
from corelic.entropy.container import Chunk
from corelic.media import Picture, Samples
from corelic.media.hidden import smooth_hidden

LAST_STEP = round(QUALITY_MAX * QUALITY_STEPS)
# How far the analysis serves: at the end of that, it costs 1 % of the rate (docs/log.md).
STALE_STEPS = 12 * QUALITY_STEPS
NEAR_STEPS = 4 * QUALITY_STEPS  # how far hyper-latents do
LEAST_LATENT_ERROR = 1e-9  # squares of all latents together


class Search:
    """One picture, analysed where the search is, quantised wherever it goes.

    What is decoded is measured and dropped: synthesis takes bfloat16 where that is quicker.
    """

    def __init__(
        self, codec: FileCodec, picture: Picture, memory_bytes: int, progress: Progress
    ) -> None:
        self.codec = codec
        size = picture.width_px, picture.height_px
        self.windows = codec.windows(*size, "search", memory_bytes)
        self.passes: Passes = codec.passes(*size, "search", memory_bytes, progress)
        self.picture = smooth_hidden(picture)  # once there is room for the rest
        self.latents: Tensor | None = None
        self.start: Start | None = None
        self.means: Tensor | None = None
        self.analysed_at = self.started_at = 0
        self.trials = self.drafts = self.analyses = 0
        self.symbols = 0  # of the last quantisation, other than zero

    def analyse(self, step: int) -> Tensor:
        """Latents (1, M, h, w) before any gain, such as serve at this quality."""
        if self.is_stale(step):
            self.latents = None
        if self.latents is None:
            self.start = self.means = None
            read, quality = partial(self.codec.window, self.picture), self._quality(step)
            self.passes.expects("analysis")
            self.latents = self.passes.latents_of(read, quality)
            self.analysed_at = step
            self.analyses += 1
        return self.latents

    def is_stale(self, step: int) -> bool:
        """Whether another analysis is due; for the smallest file, it always is."""
        return abs(step - self.analysed_at) > (STALE_STEPS if step > 0 else 0)

    def quantise(self, step: int) -> Quantised:
        """What a file may say."""
        self.means = None  # they would take room
        return self._quantised(step)

    def draft(self, step: int) -> Tensor:
        """ŷ (1, M, h, w) as `quantise` would find it, nearly: to be measured, not coded."""
        self.analyse(step)
        self.drafts += 1
        if self.means is None:
            quantised = self._quantised(step, self.codec.float_context)
            self.means = self.passes.means_of(quantised, self._quality(step))
            del quantised  # before a draft is made
        else:
            self.trials += 1
        return self._from_means(self.means, step)

    def can_foretell(self, step: int) -> bool:
        """Whether there are means for this quality."""
        return self.means is not None and not self.is_stale(step)

    def draft_quantisation_error(self, step: int) -> float:
        """What `quantisation_error` is of a draft."""
        assert self.means is not None
        return self.quantisation_error(self._from_means(self.means, step), step)

    def _from_means(self, means: Tensor, step: int) -> Tensor:
        return self.passes.draft(self.analyse(step), means, self._quality(step))

    def _quantised(self, step: int, context: ContextModel | None = None) -> Quantised:
        latents, passes, quality = self.analyse(step), self.passes, self._quality(step)
        near = not self.windows and abs(step - self.started_at) <= (NEAR_STEPS if step > 0 else 0)
        if self.start is not None and not (near and self.start.node.equal(nearest_node(quality))):
            self.start = None
        first = ("hyper_analysis", "hyper_synthesis") if self.start is None else ()
        passes.expects(*first, "context", more=self.codec.iterations(self.windows))
        self.trials += 1
        y = passes.gain(latents, quality, into=torch.empty_like(latents))
        if self.start is None:
            z = self.codec.settled(passes, self.picture, y, quality, self.windows)
            self.start = passes.start(z, quality)
            self.started_at = step
        again = context is None and not self.windows
        found = passes.quantise(y, self.start, again=again, context=context)
        self.symbols = int(found.symbols.count_nonzero())
        return found

    def error(self, y_hat: Tensor, step: int) -> float:
        """Mean squared error over all samples that can be seen, in units of 8 bits."""
        total, samples, picture = 0, 0, self.picture
        for area, part in self.parts(y_hat, step):
            difference = np.subtract(part, picture.pixels[area], dtype=np.int32)
            if picture.alpha is not None:
                difference = difference[picture.alpha[area] != 0]
            total += int(np.square(difference, dtype=np.int64).sum())
            samples += difference.size
        # Of a perfect one, too, a logarithm is taken.
        return max(total, 0.5) / (max(samples, 1) * units_of(picture.pixels) ** 2)

    def filter_chunk(self, y_hat: Tensor, step: int, most_bytes: int) -> tuple[Chunk, ...]:
        """As a plain encode has it, or the best of so many bytes; none where it has none."""
        if self.codec.fast or 8 * most_bytes <= CHUNK_BITS:  # of no room, nothing is decoded
            return ()
        self.passes.expects("synthesis")
        quality = self._quality(step)
        return self.codec.filter_chunk(self.passes, self.picture, y_hat, quality, most_bytes)

    def quantisation_error(self, y_hat: Tensor, step: int) -> float:
        """What `error` would be if the transform were orthonormal and lost nothing itself."""
        latents, transform = self.analyse(step), self.codec.spec.transform
        # As of `error`, a logarithm is taken.
        total = self.passes.squared_error(y_hat, latents, self._quality(step))
        samples = latents[0, 0].numel() * 3 * transform.stride_px**2
        return 255**2 * max(total, LEAST_LATENT_ERROR) / samples

    def parts(self, y_hat: Tensor, step: int) -> Iterator[tuple[Area, Samples]]:
        """What ŷ decodes to, area by area."""
        picture = self.picture
        self.passes.expects("synthesis")
        size = picture.height_px, picture.width_px
        quality, colour = self._quality(step), colour_of(picture)
        return self.codec.parts_of(self.passes, y_hat, quality, colour, size, picture.bit_depth)

    def _quality(self, step: int) -> Tensor:
        return self.codec.quality_tensor(step / QUALITY_STEPS)


def units_of(pixels: Samples) -> float:
    """How many of their units are one of 8 bits."""
    return float(np.iinfo(pixels.dtype).max) / 255
