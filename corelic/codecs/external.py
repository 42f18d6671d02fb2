"""Intra frames of video standards as `ImageCodec`: HEVC, VVC, AV1 (x265, VVenC, libaom, SVT-AV1).

    Picture ─► planes, 10 bits ─► x265 in PyAV, in this process ────────► .hevc
                               └► ffmpeg of imageio-ffmpeg, a subprocess ─► .vvc, .obu

One picture is one raw stream, of one intra frame and its headers. Everything perceptual is off,
for what is measured is PSNR. That ffmpeg is a GPL program, and is started;
this process loads PyAV's libx265, which is under the GPL, too.
"""

from __future__ import annotations

import re
import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar

import numpy as np

from corelic.codecs import colour
from corelic.codecs.base import CodecFacts
from corelic.codecs.classical import ClassicalCodec
from corelic.codecs.limits import check_size
from corelic.codecs.rate import QUALITY_MAX, check_quality
from corelic.disk import why
from corelic.entropy.container import MAX_PIXELS
from corelic.errors import (
    CorelicError,
    ForeignFileError,
    MissingPartError,
    PeerError,
)
from corelic.media import Picture

BT709 = "YCbCr BT.709, full range, 10 bits"
# Bytes may depend on it, and a file should not depend on who has how many cores.
THREADS = 8
TIMEOUT_S = 600
# What rawvideo cannot say about itself; the same for input and stream, so nothing is converted.
TAGS = ["-color_range", "pc", "-colorspace", "bt709", "-color_primaries", "bt709"]
TAGS += ["-color_trc", "iec61966-2-1"]
SWEEP = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)


PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
VVENC_PRESETS = ("faster", "fast", "medium", "slow", "slower")
Y4M_HEADER_BYTES = 1000  # at most; ffmpeg's has a tenth of that
# Decoders count what they allocate: whole blocks, and rows of whole vectors, of sides up to 2**16.
ROUNDING_PIXELS = 2**24
MOST_PIXELS = 2**31 - 1  # that ffmpeg can be told
TOO_LARGE = re.compile(r"size (\d+)x(\d+) exceeds")

Result = TypeVar("Result")


class VideoIntra(ClassicalCodec):
    """A video codec that makes one intra frame of a picture."""

    halved_chroma: ClassVar[bool]
    steps: ClassVar[int]  # of its quantiser, 0 best

    def quantiser(self, quality: float) -> int:
        """0 … 100 -> steps … 0; QualityError for any other."""
        check_quality(quality)
        return round(self.steps * (1 - quality / QUALITY_MAX))

    def planes(self, picture: Picture) -> list[colour.Samples]:
        """PeerError for a size that 4:2:0 has no word for."""
        if self.halved_chroma and (picture.width_px % 2 or picture.height_px % 2):
            size = f"{picture.width_px} × {picture.height_px}"
            reason = f"4:2:0 needs even sides, and the picture is {size}; crop it first"
            raise PeerError(self.facts.name, reason)
        return colour.to_planes(picture.pixels, halved_chroma=self.halved_chroma)

    @property
    def pixel_format(self) -> str:
        return "yuv420p10le" if self.halved_chroma else "yuv444p10le"


@dataclass(frozen=True)
class X265(VideoIntra):
    halved_chroma: ClassVar = False
    steps: ClassVar = 51
    ranges: ClassVar = {"preset": range(len(PRESETS))}
    preset: int = 7  # place in x265's list: slower

    @property
    def facts(self) -> CodecFacts:
        _av()
        return CodecFacts(
            name=self.named("x265", preset=7),
            title=f"HEVC intra (x265 {PRESETS[self.preset]})",
            suffix=".hevc",
            colour=f"{BT709}, 4:4:4",
            scale="QP 51 … 0",
            version=f"PyAV {version('av')}",
            qualities=SWEEP,
            in_process=True,
        )

    def encode(self, picture: Picture, quality: float) -> bytes:
        av = _av()
        parameters = {
            "qp": self.quantiser(quality),
            "keyint": 1,
            "info": 0,  # else 700 bytes of advertisement in every file
            "pools": THREADS,
            "frame-threads": 1,
            "range": "full",
            "colormatrix": "bt709",
            "colorprim": "bt709",
            "transfer": "iec61966-2-1",
            "log-level": "none",
        }
        planes = self.planes(picture)
        frame = av.VideoFrame(picture.width_px, picture.height_px, self.pixel_format)
        for plane, samples in zip(frame.planes, planes, strict=True):
            plane.update(_padded(samples, plane.line_size))
        file = BytesIO()
        try:
            with av.open(file, "w", format="hevc") as container:
                stream = container.add_stream("libx265", rate=1)
                stream.width, stream.height = picture.width_px, picture.height_px
                stream.pix_fmt = self.pixel_format
                stream.options = {
                    "preset": PRESETS[self.preset],
                    "tune": "psnr",
                    "x265-params": ":".join(f"{key}={value}" for key, value in parameters.items()),
                }
                for packets in (stream.encode(frame), stream.encode(None)):
                    container.mux(packets)
        except (av.FFmpegError, ValueError) as error:
            raise PeerError(self.facts.name, f"it refuses the picture ({error})") from error
        return file.getvalue()

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        av = _av()
        try:
            with av.open(BytesIO(data), format="hevc") as container:
                context = container.streams.video[0].codec_context
                check_size(context.width, context.height, max_pixels)
                # Else what is missing is painted over, and nobody hears of it.
                context.options = {"err_detect": "explode", "max_pixels": _limit(max_pixels)}
                # A film may hold more of them than memory does.
                frames = list(islice(container.decode(video=0), 2))
            if len(frames) != 1:
                raise ValueError(f"it holds {'more than one' if frames else 'no'} frame")
            if frames[0].format.name != self.pixel_format:
                raise ValueError(f"its samples are {frames[0].format.name}, not 4:4:4 in 10 bits")
            if frames[0].is_corrupt:
                raise ValueError("its end is missing")
        except CorelicError:
            raise
        except MemoryError as error:
            reason = "a frame has more pixels than are allowed, or than memory has room for"
            raise ForeignFileError("HEVC", reason) from error
        except (av.FFmpegError, ValueError, IndexError) as error:
            raise ForeignFileError("HEVC", str(error)) from error
        [frame] = frames
        planes = [
            np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width]
            for plane in frame.planes
        ]
        return Picture(colour.to_rgb(planes))


class Ffmpeg(VideoIntra):
    """Through the ffmpeg program that imageio-ffmpeg brings."""

    demuxer: ClassVar[str]

    @abstractmethod
    def options(self, quantiser: int) -> list[str]:
        """What makes its encoder code one intra picture at this quantiser."""

    def facts_of(self, name: str, title: str, *, scale: str) -> CodecFacts:
        return CodecFacts(
            name=name,
            title=title,
            suffix=f".{self.demuxer}",
            colour=f"{BT709}, {'4:2:0' if self.halved_chroma else '4:4:4'}",
            scale=scale,
            version=_ffmpeg_version(),
            qualities=SWEEP,
            in_process=False,
        )

    def encode(self, picture: Picture, quality: float) -> bytes:
        quantiser = self.quantiser(quality)
        samples = b"".join(plane.astype("<u2").tobytes() for plane in self.planes(picture))
        raw = ["-f", "rawvideo", "-pix_fmt", self.pixel_format, *TAGS, "-framerate", "1"]
        size = ["-video_size", f"{picture.width_px}x{picture.height_px}"]
        coded = [*self.options(quantiser), *TAGS, "-threads", str(THREADS), "-frames:v", "1"]
        arguments = [*raw, *size, "-i", "pipe:", *coded, "-f", self.demuxer]
        try:
            return _run(arguments, samples, Path.read_bytes)
        except ValueError as error:
            raise PeerError(self.facts.name, f"ffmpeg refuses the picture ({error})") from error

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        coded = ["-max_pixels", _limit(max_pixels), "-f", self.demuxer]
        y4m = ["-f", "yuv4mpegpipe", "-strict", "-1", "-frames:v", "1"]
        read = partial(_planes_of_y4m, max_pixels=max_pixels)
        try:
            planes = _run([*coded, "-i", "pipe:", *y4m], data, read)
        except CorelicError:
            raise
        except ValueError as error:
            refused = TOO_LARGE.search(str(error))
            if refused is not None:
                check_size(int(refused[1]), int(refused[2]), max_pixels)
            raise ForeignFileError(self.demuxer.upper(), str(error)) from error
        return Picture(colour.to_rgb(planes))


@dataclass(frozen=True)
class Vvenc(Ffmpeg):
    halved_chroma: ClassVar = True  # all that VVenC does
    steps: ClassVar = 63
    demuxer: ClassVar = "vvc"
    ranges: ClassVar = {"preset": range(len(VVENC_PRESETS))}
    preset: int = 2  # VVenC's own number: medium

    @property
    def facts(self) -> CodecFacts:
        name, title = (
            self.named("vvenc", preset=2),
            f"VVC intra (VVenC {VVENC_PRESETS[self.preset]})",
        )
        return self.facts_of(name, title, scale="QP 63 … 0")

    def options(self, quantiser: int) -> list[str]:
        preset = ["-preset", str(self.preset), "-qp", str(quantiser), "-qpa", "0"]
        return [
            "-c:v",
            "libvvenc",
            *preset,
            "-vvenc-params",
            "intraperiod=1:decodingrefreshtype=idr",
        ]


@dataclass(frozen=True)
class Aom(Ffmpeg):
    halved_chroma: ClassVar = False
    steps: ClassVar = 63
    demuxer: ClassVar = "obu"
    ranges: ClassVar = {"speed": range(9)}
    speed: int = 4

    @property
    def facts(self) -> CodecFacts:
        name, title = self.named("libaom", speed=4), f"AV1 intra (libaom speed {self.speed})"
        return self.facts_of(name, title, scale="cq-level 63 … 0")

    def options(self, quantiser: int) -> list[str]:
        still = ["-usage", "allintra", "-still-picture", "1", "-tune", "psnr", "-aq-mode", "0"]
        return ["-c:v", "libaom-av1", *still, "-cpu-used", str(self.speed), "-crf", str(quantiser)]


@dataclass(frozen=True)
class SvtAv1(Ffmpeg):
    halved_chroma: ClassVar = True  # all that SVT-AV1 does
    steps: ClassVar = 63
    demuxer: ClassVar = "obu"
    ranges: ClassVar = {"preset": range(14)}
    preset: int = 4

    @property
    def facts(self) -> CodecFacts:
        name, title = self.named("svt-av1", preset=4), f"AV1 intra (SVT-AV1 preset {self.preset})"
        return self.facts_of(name, title, scale="QP 63 … 0")

    def options(self, quantiser: int) -> list[str]:
        # tune 1 is PSNR; without aq-mode=0, QP is a CRF.
        parameters = f"rc=0:aq-mode=0:qp={quantiser}:tune=1:avif=1:lp={THREADS}"
        preset = ["-preset", str(self.preset), "-svtav1-params", parameters]
        return ["-c:v", "libsvtav1", *preset]


def _limit(max_pixels: int) -> str:
    """For a decoder."""
    return str(min(max_pixels + ROUNDING_PIXELS, MOST_PIXELS))


def _padded(samples: colour.Samples, line_bytes: int) -> bytes:
    """Rows as long as PyAV's buffers have them."""
    rows = np.zeros((samples.shape[0], line_bytes // 2), "<u2")
    rows[:, : samples.shape[1]] = samples
    return rows.tobytes()


def _planes_of_y4m(path: Path, max_pixels: int) -> list[colour.Samples]:
    """One frame, whose header names size and sampling; ValueError for anything else.

    TooManyPixelsError before a sample of it is read.
    """
    with path.open("rb") as file:
        header, marker = (file.readline(Y4M_HEADER_BYTES).rstrip(b"\n") for _ in range(2))
        fields = {field[:1]: field[1:].decode() for field in header.split(b" ")[1:]}
        if not header.startswith(b"YUV4MPEG2") or not marker.startswith(b"FRAME"):
            raise ValueError("ffmpeg gave no frame")
        width, height, sampling = int(fields[b"W"]), int(fields[b"H"]), fields[b"C"]
        if sampling not in ("444p10", "420p10"):
            raise ValueError(f"its samples are {sampling}")
        check_size(width, height, max_pixels)
        samples = file.read()
    half = 2 if sampling == "420p10" else 1
    shapes = [(height, width), *2 * [(height // half, width // half)]]
    counts = [rows * columns for rows, columns in shapes]
    values = np.frombuffer(samples, "<u2")
    if values.size != sum(counts):
        raise ValueError(f"ffmpeg gave {values.size} samples where {sum(counts)} are due")
    parts = np.split(values, np.cumsum(counts)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingPartError("x265", "av", "bench") from error
    return av


@cache
def _program() -> str:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:  # RuntimeError: a wheel without the program
        raise MissingPartError("this codec", "imageio-ffmpeg", "bench") from error


@contextmanager
def _starting() -> Iterator[None]:
    """What the system says when a program cannot be run, as a typed error."""
    try:
        yield
    except OSError as error:
        raise PeerError("ffmpeg", f"it cannot be run ({why(error)})") from error


@cache
def _ffmpeg_version() -> str:
    with _starting():
        done = subprocess.run([_program(), "-version"], capture_output=True, text=True, check=False)
    return f"ffmpeg {done.stdout.split()[2] if done.stdout else 'unknown'}"


def _run(arguments: list[str], data: bytes, read: Callable[[Path], Result]) -> Result:
    """What `read` makes of the file ffmpeg writes; ValueError with its first line if it fails.

    PeerError where it cannot be started, has no room, or takes too long.
    """
    with _starting(), TemporaryDirectory(prefix="corelic-") as folder:
        # Not to standard output: VVenC prints its warnings there, into the file.
        output = Path(folder) / "output"
        command = [_program(), "-hide_banner", "-loglevel", "error", *arguments, str(output)]
        try:
            done = subprocess.run(
                command, input=data, capture_output=True, check=False, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise PeerError("ffmpeg", f"it took more than {TIMEOUT_S} s") from error
        if done.returncode or not output.is_file() or not output.stat().st_size:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise ValueError(words[0] if words else "it gave no file")
        return read(output)
