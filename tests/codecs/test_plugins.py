"""What another package adds; it is the one that docs/plugins.md tells how to write."""

import importlib
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import corelic
from corelic.codecs import plugins, registry, spec_json, store
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import versions_of
from corelic.codecs.learned import LearnedImageCodec
from corelic.errors import BadWeightsError, MissingWeightsError, PluginError, PluginWarning
from tests import tiny

ROOT = Path(__file__).parents[2]
POINTS = """
[corelic.transforms]
klt = theirs.klt:KltSpec
depthwise = theirs.klt:KltSpec
[corelic.contexts]
ours_again = corelic.codecs.context.quarters:QuartersSpec
[corelic.codecs]
klt-1 = theirs.zoo:KLT
"""
ZOO = """
from dataclasses import replace
from pathlib import Path

from corelic.codecs.plugins import Added
from tests import tiny
from theirs.klt import KltSpec

SPEC = replace(tiny.TINY, name="klt", transform=KltSpec(16))
KLT = Added(SPEC, Path(__file__).parent / "weights")
"""


@dataclass(frozen=True)
class Installed:
    """A folder of packages, installed until the test ends; `theirs` is in it."""

    site: Path

    @property
    def folder(self) -> Path:
        return self.site / "theirs"

    def spec(self) -> CodecSpec:
        return registry.find_spec("klt")

    def zoo(self, *lines: str) -> None:
        """What importing `theirs.zoo` does."""
        (self.folder / "zoo.py").write_text("\n".join(lines))

    def package(self, name: str, points: str, **modules: str) -> None:
        """Installed, or again with other entry points."""
        dist = self.site / f"{name}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        for path, text in (
            (dist / "METADATA", metadata),
            (dist / "entry_points.txt", points),
            (self.site / name / "__init__.py", ""),
            *((self.site / name / f"{module}.py", text) for module, text in modules.items()),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    def corelic(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from corelic.cli.main import main; main()", *arguments],
            env={"PYTHONPATH": f"{self.site}:{ROOT}", "PATH": ""},
            capture_output=True,
            text=True,
        )


def test_figures_are_of_one_version_of_another_package(installed: "Installed") -> None:
    transform = spec_json.from_json(spec_json.to_json(installed.spec()), "here").transform
    assert type(transform).__module__ == "theirs.klt"
    found = versions_of(replace(tiny.TINY, transform=transform))
    assert found.startswith("corelic ") and found.endswith(", theirs 1.0")
    assert "," not in versions_of(tiny.TINY)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    page = (ROOT / "docs" / "plugins.md").read_text()
    module = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0]
    found = Installed(tmp_path / "site")
    found.package("theirs", POINTS, klt=module, zoo=ZOO)
    monkeypatch.syspath_prepend(found.site)
    plugins._outcome.cache_clear()
    before = set(sys.modules)
    yield found
    plugins._outcome.cache_clear()
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("theirs", "others"):
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


def test_its_parts_cannot_take_a_name_of_ours(installed: Installed) -> None:
    ours = type(registry.find_spec("swift").transform)
    found = plugins.find("corelic.transforms", "depthwise")
    assert found is not None and found.value == "theirs.klt:KltSpec"
    assert spec_json.kinds("transform")["depthwise"] is ours
    text = spec_json.to_json(registry.find_spec("swift"))
    assert type(spec_json.from_json(text, "this test").transform) is ours


@pytest.mark.parametrize("name", ["swift", "avif", "checkerboard"])
def test_its_codecs_cannot_take_a_name_of_ours(installed: Installed, name: str) -> None:
    zoo = ZOO.replace('name="klt"', f'name="{name}", generation=98')
    installed.package("theirs", POINTS.replace("klt-1 =", f"{name}-98 ="), zoo=zoo)
    before = registry.list_own_specs(), registry.find_spec("swift")
    for _ in range(2):  # the second time, nothing is imported again
        with pytest.warns(PluginWarning, match=f"'{name}-98' .* {name} is a name of corelic's own"):
            assert not registry.list_added()
    assert (registry.list_own_specs(), registry.find_spec("swift")) == before


@pytest.mark.parametrize("named", ["klt-2", "klt", "others-1"])
def test_a_codec_goes_by_the_name_of_its_spec(installed: Installed, named: str) -> None:
    installed.package("theirs", POINTS.replace("klt-1 =", f"{named} ="))
    with pytest.warns(PluginWarning, match=f"its spec is called klt-1, not {named}; repair"):
        assert not registry.list_added()
    installed.package("theirs", POINTS.replace("zoo:KLT", "zoo:SPEC"))
    with pytest.warns(PluginWarning, match=r"it is no corelic.codecs.plugins.Added, but CodecSpec"):
        assert not registry.list_added()


def test_context_models_have_a_group_of_their_own(installed: Installed) -> None:
    text = spec_json.to_json(tiny.TINY).replace('"quarters"', '"ours_again"')
    assert spec_json.from_json(text, "this test") == tiny.TINY
    assert "ours_again" in spec_json.kinds("context")
    assert "ours_again" not in spec_json.kinds("transform")


def test_two_packages_by_one_name(installed: Installed) -> None:
    text = spec_json.to_json(installed.spec())
    zoo = ZOO.replace('name="klt"', 'name="other"').replace("theirs", "others")
    klt = (installed.folder / "klt.py").read_text()
    points = POINTS.replace("theirs.", "others.")
    installed.package("others", points.replace("klt-1 =", "other-1 ="), klt=klt, zoo=zoo)
    assert [added.spec.name for added in registry.list_added()] == ["klt", "other"]
    both = r"(others|theirs) and (others|theirs) both"
    with pytest.raises(PluginError, match=rf"'klt' .*{both}"):
        spec_json.from_json(text, "this test")
    installed.package("others", points)
    with pytest.warns(PluginWarning, match=rf"'klt-1' .*{both}"):
        assert not registry.list_added()


def test_a_broken_package_is_not_in_the_way_of_another(installed: Installed) -> None:
    points = "[corelic.transforms]\nbroken = others.gone:Spec\n"
    installed.package("others", points)
    assert '"kind": "klt"' in spec_json.to_json(installed.spec())
    with pytest.warns(PluginWarning, match=r"'broken' \(corelic\.transforms of others\)"):
        assert "klt" in spec_json.kinds("transform")


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


@pytest.mark.parametrize("broken", ["raise RuntimeError('no libfoo')", "raise SystemExit(0)"])
def test_one_that_breaks_is_named_and_not_in_the_way(installed: Installed, broken: str) -> None:
    klt = (installed.folder / "klt.py").read_text()
    points = POINTS.replace("theirs.", "others.").replace("klt", "sound")
    zoo = f"from theirs.zoo import KLT as THEIRS\n{broken}"  # what it imports is none the worse
    installed.package("others", points, sound=klt, zoo=zoo)
    reason = "no libfoo" if "libfoo" in broken else "0"
    for _ in range(2):
        with pytest.warns(PluginWarning, match=rf"'sound-1' .* of others\).*: {reason}; repair"):
            specs = registry.list_specs()
        assert {"swift", "klt"} <= {spec.name for spec in specs}
    done = installed.corelic("codecs")
    assert done.returncode == 0 and registry.find_spec("swift").full_name in done.stdout
    assert done.stderr.count("of others) cannot be used") == 1
    assert installed.corelic("encode", "none.png", "--codec", "swfit").stderr.count("others)") == 1


@pytest.mark.parametrize("broken", ["build_analysis", "weights"])
def test_the_list_leaves_out_what_cannot_be_built(installed: Installed, broken: str) -> None:
    path = with_weights(installed)
    if broken == "weights":
        path.write_bytes(b"not weights")
    else:
        sys.modules["theirs.klt"].KltSpec.build_analysis = None  # type: ignore[attr-defined]
    with pytest.warns(PluginWarning, match=r"klt-1 cannot be used"):
        found = corelic.list_codecs()
    assert [info.spec for info in found] == list(registry.list_own_specs())


def test_nothing_of_it_is_imported_before_it_is_asked_for(
    installed: Installed, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.zoo("raise RuntimeError('no libfoo')")
    monkeypatch.setenv(store.MODELS_VARIABLE, str(tiny.GOLDEN))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PluginWarning)
        for codec in ("swift", str(tiny.TINY_WEIGHTS)):
            corelic.decode(corelic.encode(photo, codec=codec))
    assert not [warning for warning in caught if warning.category is PluginWarning]


@pytest.mark.parametrize(
    ("lost", "persistent"),
    [(torch.tensor(0.5), False), (torch.arange(9), True), (torch.tensor(0.5), None)],
)
def test_a_tensor_that_no_file_keeps_is_refused(
    installed: Installed, lost: torch.Tensor, persistent: bool | None
) -> None:
    spec = installed.spec()
    data = tiny.finished(tiny.started(spec))
    analysis = sys.modules["theirs.klt"].KltAnalysis
    project = analysis.__init__

    def with_more(self: nn.Module, channels: int) -> None:
        project(self, channels)
        if persistent is None:
            self.level = lost
        else:
            self.register_buffer("level", lost, persistent=persistent)

    analysis.__init__ = with_more
    reason = r"analysis\.level is a tensor that weights files do not keep"
    with pytest.raises(ValueError, match=reason):
        LearnedImageCodec(spec)
    with pytest.raises(PluginError, match=rf"klt-1 cannot be used: {reason}"):
        store.unpack(data, "this test")


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ("Added(KltSpec(16))", "its spec is no CodecSpec, but KltSpec"),
        ("Added(SPEC, 'weights')", "its weights are no Path, but str"),
    ],
)
def test_a_mistaken_codec_does_not_end_what_does_without_it(
    installed: Installed, added: str, reason: str
) -> None:
    installed.zoo(ZOO.replace('Added(SPEC, Path(__file__).parent / "weights")', added))
    with pytest.warns(PluginWarning, match=rf"'klt-1' .*{reason}; "):
        specs = registry.list_specs()
    assert "swift" in {spec.name for spec in specs} and "klt" not in {spec.name for spec in specs}


def test_a_layer_of_two_names_is_refused(installed: Installed) -> None:
    """A file would keep it twice, the second time in other numbers than those that are exact."""
    spec = installed.spec()
    analysis = sys.modules["theirs.klt"].KltAnalysis
    project = analysis.__init__

    def with_tied(self: nn.Module, channels: int) -> None:
        project(self, channels)
        self.first = self.second = nn.Linear(2, 2)
        self.act = self.other_act = nn.ReLU()  # of which a file keeps nothing

    analysis.__init__ = with_tied
    with pytest.raises(ValueError, match=r"analysis\.first and analysis\.second are one layer"):
        LearnedImageCodec(spec)


@pytest.mark.parametrize("error", [ImportError("no libfoo"), OSError("no libfoo")])
def test_networks_that_cannot_be_built_are_an_error_of_ours(
    installed: Installed, error: Exception, photo: Image.Image
) -> None:
    with_weights(installed)
    data = corelic.encode(photo, codec="klt")

    def broken(self: object) -> nn.Module:
        raise error

    sys.modules["theirs.klt"].KltSpec.build_analysis = broken  # type: ignore[attr-defined]
    store._cached.cache_clear()
    for work in (partial(corelic.encode, photo, codec="klt"), partial(corelic.decode, data)):
        with pytest.raises(PluginError, match="klt-1 cannot be used: no libfoo; repair"):
            work()


def test_a_class_may_be_named_where_it_is_imported(installed: Installed) -> None:
    (installed.folder / "__init__.py").write_text("from theirs.klt import KltSpec\n")
    installed.package("theirs_points", "[corelic.transforms]\nagain = theirs:KltSpec\n")
    points = POINTS.replace("klt = theirs.klt:KltSpec\n", "")
    (installed.site / "theirs-1.0.dist-info" / "entry_points.txt").write_text(points)
    importlib.invalidate_caches()
    assert '"kind": "again"' in spec_json.to_json(installed.spec())


def test_a_part_that_breaks_is_an_error_of_its_files_alone(installed: Installed) -> None:
    text = spec_json.to_json(installed.spec())
    (installed.folder / "klt.py").write_text("class Another: ...")
    plugins._outcome.cache_clear()
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
