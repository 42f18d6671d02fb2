"""`kill -9` at random moments of `corelic encode`: no half a file under the final name.

    python benchmarks/kill.py --codec swift

Encodes a large picture once, to know how long that takes, then kills the same command ten times at
a random moment and, since writing is a small part of it, ten times at the first sign of its output.
Each time there must be nothing under the final name or, if the file was finished before, all of it;
and the picture must be untouched.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, sleep

from PIL import Image

SIZE_PX = 2048, 1365
COMMAND = "from corelic.cli.main import main; main()"


def large_picture() -> Image.Image:
    from skimage import data

    return Image.fromarray(data.astronaut()).resize(SIZE_PX, Image.Resampling.BICUBIC)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--picture", type=Path, help="default: scikit-image's astronaut, enlarged")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, output = folder / "large.png", folder / "large.clc"
        picture = Image.open(given.picture) if given.picture else large_picture()
        picture.save(source)
        command = [sys.executable, "-c", COMMAND, "encode", str(source), "-o", str(output)]
        command += ["--codec", given.codec, "--device", "cpu"]
        start = perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        whole_s = perf_counter() - start
        print(
            f"{picture.width} × {picture.height}: {whole_s:.1f} s, {output.stat().st_size:,} bytes"
        )
        before, complete = digest(source), digest(output)
        output.unlink()

        failures = 0
        for turn in range(2 * given.kills):
            files = set(folder.iterdir())
            moment_s = dice.uniform(0, whole_s)
            start = perf_counter()
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            if turn < given.kills:
                sleep(moment_s)
            else:
                while set(folder.iterdir()) == files and running.poll() is None:
                    pass  # without sleep: the file is complete a few milliseconds later
            running.kill()
            moment_s = perf_counter() - start
            code = running.wait()
            sound = digest(source) == before
            if found := output.exists():
                sound = sound and digest(output) == complete
            left = set(folder.iterdir()) - files - {output}
            print(
                f"{turn + 1:2}: after {moment_s:.2f} s, exit {code}: "
                f"{'all' if found else 'none'} of the file, {len(left)} temporary"
                f"{'' if sound else '  FAILED'}"
            )
            failures += not sound
            for path in {output, *left}:
                path.unlink(missing_ok=True)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
