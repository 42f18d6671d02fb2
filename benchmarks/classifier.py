"""Trains the classifiers behind a codec on CIFAR-10, and says how often they are right.

    python benchmarks/classifier.py
    python benchmarks/classifier.py --architecture plain --epochs 4 --out small.safetensors

Writes a weights file for `corelic.attacks.classifier.load_classifier`, and prints the accuracy on
pictures that training has not seen: as they are, and enlarged as a codec gets them.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from corelic.attacks.classifier import accuracy, save_classifier, train_classifier
from corelic.attacks.labelled import enlarged, read_labelled

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    source = Path(data) / "cifar10" / "cifar10.zip" if data else None
    parser.add_argument("--data", type=Path, default=source, required=source is None)
    parser.add_argument("--architecture", choices=["residual", "plain"], default="residual")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: classifier-ARCHITECTURE.safetensors")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    train, test = (read_labelled(given.data, split) for split in ("train", "test"))
    start, cpu = time.perf_counter(), time.process_time()
    classifier = train_classifier(
        train,
        architecture=given.architecture,
        epochs=given.epochs,
        seed=given.seed,
        progress=lambda at: print(f"epoch {at.number} of {at.epochs}: loss {at.loss:.3f}"),
    )
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    out = given.out or Path(f"classifier-{given.architecture}.safetensors")
    save_classifier(classifier, out, overwrite=True)
    x = test.floats()
    print(f"{len(train):,} pictures, {seconds:.0f} s, {cpu_s:.0f} s of CPU time")
    for factor in (1, 2):
        found = accuracy(classifier, enlarged(x, factor) if factor > 1 else x, test.labels)
        print(f"{found:.2%} of {len(test):,} held-out pictures at {factor * x.shape[-1]} px")
    print(f"{out}: {out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
