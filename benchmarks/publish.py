"""Writes measured figures where people read them: the README's table and the model card.

results/kodak-NAME.json ─┬─► README.md, between its two `measured` marks, where it has them
results/speed-NAME.json ─┤
weights/NAME.safetensors ┴─► weights/NAME.md, the model card

python benchmarks/publish.py swift-1
python benchmarks/publish.py swift-3 --bench benchmarks/results/kodak

With --bench the figures are those of a run of `corelic bench`, which looks at files alone.
"""

import argparse
import json
import re
from pathlib import Path
from statistics import fmean
from typing import Any

from corelic.codecs import store
from corelic.codecs.base import CodecSpec
from corelic.codecs.registry import find_spec
from corelic.disk import atomic_write
from corelic.eval import published
from corelic.eval.results import slug

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FEW_STEPS = 10_000  # of the last run
FAR_PERCENT = 60.0  # more rate than VTM needs
BARELY = (
    "It is hardly trained: every command works with it, but it is far from what its architecture "
    "can do, and says nothing about that."
)
WEAK = (
    "Trained on photographs for MSE: text, line art and screenshots are not what it has seen, and "
    "grain is smoothed at low quality. Nothing here was tuned against attacks."
)
NOT_COMPARED = "What the grid costs against the float model was not measured."
MARKS = "<!-- measured: python benchmarks/publish.py {name} -->", "<!-- end of measured -->"


def rate_distortion_table(kodak: dict[str, Any]) -> str:
    lines = ["| quality | bpp | PSNR | MS-SSIM |", "|---|---|---|---|"]
    results = kodak["results"]
    columns = (results[key] for key in ("bpp", "psnr-rgb", "ms-ssim-rgb"))
    for quality, bpp, psnr_db, ms_ssim in zip(kodak["meta"]["qualities"], *columns, strict=True):
        lines.append(f"| {quality:g} | {bpp:.3f} | {psnr_db:.2f} dB | {ms_ssim:.4f} |")
    return "\n".join(lines)


def bd_rate(kodak: dict[str, Any], metric: str = "psnr") -> dict[str, Any]:
    """Of the files, against the published anchor."""
    found: dict[str, Any] = next(one for one in kodak["bd_rates"] if one["metric"] == metric)
    return found


def of_bench(folder: Path, name: str) -> dict[str, Any]:
    """A curve of `corelic bench`, as benchmarks/kodak.py has it; files are in it, estimates not."""
    curve = json.loads((folder / "curves" / f"{slug(name)}.json").read_text())
    run = json.loads((folder / "run.json").read_text())
    rates = [
        {**row["rate"], "metric": row["metric"], "anchor": published.find(row["anchor"]).name}
        for row in run["bd_rates"]
        if row["curve"] == name and row["rate"]
    ]
    return {
        **curve,
        "bd_rates": rates,
        "pictures": [{"picture": picture} for picture in curve["meta"]["pictures"]],
    }


def kodak_sentence(kodak: dict[str, Any]) -> str:
    found = bd_rate(kodak)
    return (
        f"Kodak, {len({row['picture'] for row in kodak['pictures']})} pictures: bits of complete "
        f"files, PSNR and MS-SSIM of decoded 8-bit RGB, means over pictures. BD-rate (pchip) "
        f"against {found['anchor']} as CompressAI published it: **{found['percent']:+.1f} %** over "
        f"{found['low_db']:.1f} … {found['high_db']:.1f} dB. "
        f"`make bench CODEC={kodak['name']}` measures it again."
    )


def speed_table(speed: dict[str, Any], name: str) -> str:
    rows = speed["pictures"]

    def mean(key: str) -> float:
        return fmean(row[key] for row in rows)

    encode_s, decode_s = mean("encode_s"), mean("decode_s")
    peer_encode_s, peer_decode_s = mean("peer_encode_s"), mean("peer_decode_s")
    lines = [
        "| | encode | decode |",
        "|---|---|---|",
        f"| `{name}` | {encode_s:.2f} s | {decode_s:.2f} s |",
        f"| {speed['peer']} | {peer_encode_s:.2f} s | {peer_decode_s:.2f} s |",
        f"| ratio | {encode_s / peer_encode_s:.2f} | {decode_s / peer_decode_s:.2f} |",
        "",
        f"Seconds per Kodak picture on {speed['machine']['threads']} threads of "
        f"{speed['machine']['cpu']}, both in one process, medians of {speed['rounds']} rounds: "
        f"`python benchmarks/speed.py --rounds {speed['rounds']}`, in the environment that its "
        "first lines describe. Where freed memory is kept, as our program does, the peer gains "
        "more ([docs/large.md](docs/large.md#memory)).",
    ]
    return "\n".join(lines)


def readme_section(kodak: dict[str, Any], speed: dict[str, Any], name: str) -> str:
    measured = f"{kodak_sentence(kodak)} {in_words(bd_rate(kodak)['percent'])}"
    return "\n\n".join((rate_distortion_table(kodak), measured, speed_table(speed, name)))


def in_words(percent: float) -> str:
    """What a BD-rate is, for those who have not met one."""
    more = "more" if percent > 0 else "fewer"
    return (
        f"{percent:+.1f} % means {abs(percent):.0f} % {more} bits than VTM, the reference encoder "
        "of H.266, at equal PSNR ([docs/bench.md](docs/bench.md#what-is-measured))."
    )


def begun(recipe: dict[str, Any], spec: CodecSpec) -> str:
    """Where a training run started."""
    if recipe["start"] is None:
        return f"`recipes/{spec.name}.yaml`"
    start = Path(recipe["start"]).name
    if start == spec.name:  # of an older run; its newest weights were of the generation before
        start = f"{start}-{spec.generation - 1}"
    return f"On from `{start}`, whose own training comes on top,"


def parsing_sentence(kodak: dict[str, Any]) -> str:
    if "files_over_estimates" not in kodak:
        return NOT_COMPARED
    real = kodak["files_over_estimates"]
    overhead_bytes = real["overhead_bytes"]
    exported = [one for one in kodak["bd_rates"] if "as trained" in one["anchor"]]
    cost = f"{exported[0]['percent']:+.2f} %" if exported else "not measured"
    return f"""Moving the parsing path to the integer grid costs {cost} BD-rate against the
float model, both estimated. Files are {real["mean_excess"]:+.2%} over their own estimate on
average, at most {real["largest_excess"]:+.2%}; {overhead_bytes} bytes of each are format."""


def model_card(kodak: dict[str, Any], name: str) -> str:
    spec = find_spec(name)
    path = store.shipped(spec)
    assert path is not None  # this is about published weights
    data = path.read_bytes()
    weights, card = store.from_file(path), store.read_card(data, path.name)
    position, recipe = card["position"], card["recipe"]
    barely_trained = position["step"] < FEW_STEPS and bd_rate(kodak)["percent"] > FAR_PERCENT
    return f"""# {path.name}

Codec `{name}`, {weights.codec.parameter_count:,} parameters, {len(data):,} bytes, fingerprint
`{weights.fingerprint.hex()}`, licence {spec.weights_licence}. For photographs of any size, in
8-bit RGB or grey.

**Training.** {begun(recipe, spec)} on the set `{recipe["data"]}` (photographs; one in 20
held out; Kodak never seen): {position["step"]:,} steps, {position["crops"]:,} crops,
{position["pixels"] / 1e6:,.0f} megapixels, {position["elapsed_s"] / 60:.0f} minutes on
{card["device"]}.

**Rate and distortion.** {kodak_sentence(kodak)}

{rate_distortion_table(kodak)}

**Exact parsing.** {parsing_sentence(kodak)}

**Weak at.** {f"{BARELY} {WEAK}" if barely_trained else WEAK}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="as in swift-1")
    parser.add_argument("--bench", type=Path, help="results of a run of corelic bench")
    given = parser.parse_args()
    name = given.name
    if given.bench:
        kodak = of_bench(given.bench, name)
    else:
        kodak = json.loads((RESULTS / f"kodak-{name}.json").read_text())
    begin, end = (mark.format(name=name) for mark in MARKS)
    readme = ROOT / "README.md"
    if begin in readme.read_text():
        speed = json.loads((RESULTS / f"speed-{name}.json").read_text())
        section = f"{begin}\n{readme_section(kodak, speed, name)}\n{end}"
        pattern = re.escape(begin) + ".*" + re.escape(end)
        text, count = re.subn(pattern, lambda _: section, readme.read_text(), flags=re.DOTALL)
        assert count == 1, "README.md has lost its marks"
        atomic_write(readme, text.encode(), overwrite=True)
        print(readme)
    card = ROOT / "corelic" / "codecs" / "weights" / f"{name}.md"
    atomic_write(card, model_card(kodak, name).encode(), overwrite=True)
    print(card)


if __name__ == "__main__":
    main()
