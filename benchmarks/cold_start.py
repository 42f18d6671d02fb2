"""How long `corelic decode FILE` takes as a whole process, and where the time goes.

    python benchmarks/cold_start.py --picture photo.png

Two measurements, each the median of fresh processes whose files the system has in its cache: the
command as a user runs it, from outside, and the same steps in a process that looks at the clock.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from keeping import keep, place_of
from rich.console import Console
from rich.table import Table

from corelic.codecs.files import open_codec
from corelic.eval.machine import machine
from corelic.media import read_picture

COMMAND = "from corelic.cli.main import main; main()"
# What the command does, in its order; the imports that a step would make come before it.
STEPS = """
import json, sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter

clock = [perf_counter()]
import corelic.cli.main
clock.append(perf_counter())
import torch
clock.append(perf_counter())
import corelic.codecs.api
from corelic.media import write_image
clock.append(perf_counter())
data = Path(sys.argv[1]).read_bytes()
from corelic.codecs import files, store
from corelic.entropy import container
header = container.read_header(data)
name = f"{header.codec}-{header.generation}"
codec = files.FileCodec(store.by_fingerprint(name, header.fingerprint), files.device_of("cpu"))
clock.append(perf_counter())
picture = codec.decode(data)
clock.append(perf_counter())
write_image(picture.to_image(), Path(sys.argv[2]), overwrite=True)
clock.append(perf_counter())
print(json.dumps(clock))
"""
NAMES = (
    "import the command line",
    "import torch",
    "import the codec",
    "load the weights",
    "decode",
    "write a PNG",
)


def process_s(arguments: list[str], environment: dict[str, str]) -> tuple[float, str]:
    start = perf_counter()
    command = [sys.executable, *arguments]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return perf_counter() - start, ran.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    picture = Path(data) / "kodak" / "kodim01.png" if data else None
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--picture", type=Path, default=picture, required=picture is None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: results/cold-start-CODEC.json")
    given = parser.parse_args()

    codec = open_codec(given.codec, "cpu")
    out = place_of("cold-start", codec, given.out, partial=False)
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    if Path(given.codec).is_file():
        environment["CORELIC_MODELS"] = str(Path(given.codec).resolve().parent)
    with tempfile.TemporaryDirectory() as folder:
        file, png = Path(folder) / "picture.clc", Path(folder) / "picture.png"
        file.write_bytes(codec.encode(read_picture(given.picture), 50))
        command = ["-c", COMMAND, "decode", str(file), "-o", str(png), "--overwrite"]
        command += ["--device", "cpu"]
        process_s(command, environment)  # fills the system's cache, and does not count
        whole, start, steps = [], [], []
        for _ in range(given.rounds):
            whole.append(process_s(command, environment)[0])
            start.append(process_s(["-c", "pass"], environment)[0])
            clock = json.loads(process_s(["-c", STEPS, str(file), str(png)], environment)[1])
            steps.append([after - before for before, after in pairwise(clock)])

    parts = {"start Python": median(start)}
    parts |= dict(zip(NAMES, map(median, zip(*steps, strict=True)), strict=True))
    parts["the rest: parse, checks, exit"] = median(whole) - sum(parts.values())
    table = Table("corelic decode", "s", title=f"median of {given.rounds}, {given.threads} threads")
    for part, seconds in {**parts, "whole process": median(whole)}.items():
        table.add_row(part, f"{seconds:.3f}")
    Console().print(table)
    torch.set_num_threads(given.threads)
    result = {
        "codec": codec.facts.name,
        "machine": machine(),
        "whole_s": whole,
        "median_s": median(whole),
        "parts_s": parts,
    }
    keep(result, out)


if __name__ == "__main__":
    main()
