"""The files that must decode for ever, and the codecs that made them."""

from pathlib import Path

import pytest

from corelic.codecs import store
from corelic.codecs.files import FileCodec, open_codec
from corelic.codecs.registry import list_own_specs
from corelic.entropy import container
from tests.tiny import GOLDEN, TINY_WEIGHTS

STREAMS = sorted(GOLDEN.glob("format-*/*.clc"))


def maker_of(stream: Path) -> FileCodec:
    """The codec that a golden file names."""
    header = container.read_header(stream.read_bytes())
    return open_codec(weights_of()[f"{header.codec}-{header.generation}"], "cpu")


def weights_of() -> dict[str, Path]:
    """Every codec that can make files here: tiny, and those whose weights ship."""
    shipped = {spec.full_name: store.shipped(spec) for spec in list_own_specs()}
    return {"tiny-1": TINY_WEIGHTS} | {name: path for name, path in shipped.items() if path}


@pytest.fixture(params=STREAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.MODELS_VARIABLE, str(GOLDEN))
    path: Path = request.param
    return path
