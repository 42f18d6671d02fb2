"""Others' codecs by name: `avif`, or `avif:speed=8` with a parameter of its own."""

from __future__ import annotations

from dataclasses import replace

from corelic.codecs import compressai_zoo
from corelic.codecs.classical import Avif, ClassicalCodec, Jpeg, Jpeg2000, JpegXl, WebP
from corelic.codecs.external import X265, Aom, SvtAv1, Vvenc
from corelic.errors import PeerError

PEERS: dict[str, ClassicalCodec] = {
    "jpeg": Jpeg(),
    "jpeg-420": Jpeg("420"),
    "webp": WebP(),
    "avif": Avif(),
    "avif-420": Avif("420", speed=6),
    "avif-psnr": Avif(for_psnr=True),
    "jpeg2000": Jpeg2000(),
    "jxl": JpegXl(),
    "x265": X265(),
    "vvenc": Vvenc(),
    "libaom": Aom(),
    "svt-av1": SvtAv1(),
    **compressai_zoo.PEERS,
}


def find(name: str) -> ClassicalCodec | None:
    """None where there is no such peer; PeerError for a parameter that it does not have."""
    base, *given = name.split(":")
    peer = PEERS.get(base)
    if peer is None:
        return None
    for pair in given:
        key, _, value = pair.partition("=")
        if key not in peer.ranges:
            reason = f"has no parameter {key!r}; it has {', '.join(peer.ranges) or 'none'}"
            raise PeerError(base, reason)
        allowed = peer.ranges[key]
        if not value.isdecimal() or int(value) not in allowed:
            reason = f"{key} is {value!r}; give a whole number, {allowed[0]} … {allowed[-1]}"
            raise PeerError(base, reason)
        peer = replace(peer, **{key: int(value)})  # type: ignore[type-var]  # each is a dataclass
    return peer
