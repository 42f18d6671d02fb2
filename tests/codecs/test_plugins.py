"""What another package adds; it is the one that docs/plugins.md tells how to write."""

import importlib
import importlib.metadata
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

import corelic
from corelic.codecs import plugins, registry, spec_json, store
from corelic.codecs.base import CodecSpec
from corelic.errors import BadWeightsError, MissingWeightsError, PluginError, PluginWarning
from tests import tiny

ROOT = Path(__file__).parents[2]
POINTS = """
[corelic.transforms]
klt = theirs.klt:KltSpec
depthwise = theirs.klt:KltSpec
[corelic.codecs]
theirs = theirs.zoo
"""
ZOO = """
from dataclasses import replace
from pathlib import Path

from corelic.codecs.registry import find_spec, register
from tests import tiny
from theirs.klt import KltSpec

SPEC = replace(tiny.TINY, name="klt", transform=KltSpec(16))
register(SPEC, Path(__file__).parent / "weights")
"""


@dataclass(frozen=True)
class Installed:
    """The folder of a package that is installed, until the test ends."""

    site: Path

    @property
    def folder(self) -> Path:
        return self.site / "theirs"

    def spec(self) -> CodecSpec:
        return registry.find_spec("klt")

    def corelic(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from corelic.cli.main import main; main()", *arguments],
            env={"PYTHONPATH": f"{self.site}:{ROOT}", "PATH": ""},
            capture_output=True,
            text=True,
        )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    page = (ROOT / "docs" / "plugins.md").read_text()
    module = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0]
    found = Installed(tmp_path / "site")
    for path, text in (
        ("theirs/__init__.py", ""),
        ("theirs/klt.py", module),
        ("theirs/zoo.py", ZOO),
        ("theirs-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n"),
        ("theirs-1.0.dist-info/entry_points.txt", POINTS),
    ):
        (found.site / path).parent.mkdir(parents=True, exist_ok=True)
        (found.site / path).write_text(text)
    registry.list_own_specs()  # once, and not in what is restored below
    monkeypatch.setattr(registry, "_specs", {**registry._specs})
    monkeypatch.setattr(registry, "_folders", {**registry._folders})
    monkeypatch.syspath_prepend(found.site)
    plugins.load.cache_clear()
    yield found
    plugins.load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]


def with_weights(installed: Installed) -> Path:
    spec = installed.spec()
    path = installed.folder / "weights" / spec.weights
    path.parent.mkdir()
    path.write_bytes(tiny.finished(tiny.started(spec)))
    return path


def test_its_codec_is_found_by_name(installed: Installed) -> None:
    spec = installed.spec()
    assert spec.full_name == "klt-1" and type(spec.transform).__module__ == "theirs.klt"
    assert spec in registry.list_specs()


def test_files_name_its_parts(installed: Installed) -> None:
    spec = installed.spec()
    text = spec_json.to_json(spec)
    assert '"kind": "klt"' in text
    assert spec_json.from_json(text, "this test") == spec
    assert spec_json.kinds("transform")["klt"] is type(spec.transform)


def test_it_cannot_take_a_name_of_ours(installed: Installed) -> None:
    ours = type(registry.find_spec("swift").transform)
    assert plugins.points("corelic.transforms")["depthwise"].value == "theirs.klt:KltSpec"
    assert spec_json.kinds("transform")["depthwise"] is ours
    text = spec_json.to_json(registry.find_spec("swift"))
    assert type(spec_json.from_json(text, "this test").transform) is ours


def test_swift_is_ours_whatever_another_package_registers(installed: Installed) -> None:
    zoo = ZOO.replace('name="klt"', 'name="swift", generation=99')
    (installed.folder / "zoo.py").write_text(zoo)
    before = registry.find_spec("swift")
    with pytest.warns(PluginWarning, match=r"'swift-99'.*that name is not to be had"):
        specs = registry.list_specs()
    assert "swift-99" not in [spec.full_name for spec in specs]
    assert registry.find_spec("swift") == before


def test_its_weights_encode_and_decode(installed: Installed, photo: Image.Image) -> None:
    path = with_weights(installed)
    assert store.shipped(installed.spec()) == path
    data = corelic.encode(photo, quality=60, codec="klt")
    assert corelic.info(data).codec == "klt"
    assert corelic.decode(data).size == photo.size
    path.unlink()
    with pytest.raises(MissingWeightsError, match="klt-1"):
        corelic.decode(data)


def test_the_command_line_has_it(installed: Installed, photo: Image.Image, tmp_path: Path) -> None:
    with_weights(installed)
    source, coded, back = (tmp_path / name for name in ("photo.png", "photo.clc", "back.png"))
    photo.save(source)
    for arguments in (
        ("encode", source, "-o", coded, "--codec", "klt"),
        ("decode", coded, "-o", back),
    ):
        done = installed.corelic(*arguments)
        assert done.returncode == 0, done.stderr
    with Image.open(back) as decoded:
        assert decoded.size == photo.size
    assert "klt-1" in installed.corelic("codecs").stdout


def test_one_that_breaks_is_named_and_not_in_the_way(installed: Installed) -> None:
    (installed.folder / "zoo.py").write_text("raise RuntimeError('no such library')")
    with pytest.warns(PluginWarning, match=r"'theirs'.* of theirs\).*no such library; repair"):
        assert registry.find_spec("swift") in registry.list_specs()
    done = installed.corelic("codecs")
    assert done.returncode == 0 and registry.find_spec("swift").full_name in done.stdout
    assert done.stderr.count("no such library") == 1


def test_nothing_of_it_is_imported_for_codecs_of_ours(
    installed: Installed, photo: Image.Image
) -> None:
    (installed.folder / "zoo.py").write_text("raise RuntimeError('no such library')")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PluginWarning)
        corelic.decode(corelic.encode(photo, codec="swift"))
    assert not [warning for warning in caught if warning.category is PluginWarning]


def test_a_part_that_breaks_is_an_error_of_its_files_alone(installed: Installed) -> None:
    text = spec_json.to_json(installed.spec())
    (installed.folder / "klt.py").write_text("class Another: ...")
    plugins.load.cache_clear()
    del sys.modules["theirs.klt"]
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match=r"'klt' \(corelic\.transforms of theirs\)"):
        spec_json.from_json(text, "this test")
    assert spec_json.from_json(spec_json.to_json(tiny.TINY), "this test") == tiny.TINY


def test_a_file_that_names_what_is_not_installed_is_bad_weights() -> None:
    text = spec_json.to_json(tiny.TINY).replace('"depthwise"', '"klt"')
    with pytest.raises(BadWeightsError, match="unknown kind 'klt'"):
        spec_json.from_json(text, "this test")


def test_a_class_without_an_entry_point_has_no_weights_file(installed: Installed) -> None:
    other = type("OtherSpec", (type(installed.spec().transform),), {})
    spec = replace(installed.spec(), transform=other(16))
    with pytest.raises(PluginError, match=r"OtherSpec cannot be used.*corelic\.transforms"):
        spec_json.to_json(spec)
