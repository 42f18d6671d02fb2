"""corelic export"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from corelic.cli import options
from corelic.cli.show import print_json


def export(
    run: Annotated[Path, Argument(help="Folder of a training run.")],
    output: Annotated[
        Path | None, Option("--output", "-o", help="Weights file; default: beside the run.")
    ] = None,
    generation: Annotated[
        int, Option(min=0, help="Of published weights; 0 marks files as made with your own.")
    ] = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Write the weights file of a run: averaged, calibrated, on the integer grid.

    \b
    Examples:
      corelic export runs/swift
      corelic export runs/swift -o my-model.safetensors
      corelic encode photo.png --codec my-model.safetensors
    """
    from corelic.training.export import export as write

    path = output or Path(f"{run}.safetensors")
    exported = write(run, path, generation=generation, overwrite=overwrite)
    if as_json:
        print_json(
            {
                "weights": str(exported.path),
                "file_bytes": exported.file_bytes,
                "fingerprint": exported.fingerprint,
                "tightest_layer": exported.tightest.layer,
                "tightest_bits": exported.tightest.bits,
            }
        )
        return
    print(
        f"{exported.path}: {exported.file_bytes:,} bytes, fingerprint {exported.fingerprint}; "
        f"sums stay below 2^{exported.tightest.bits:.1f} ({exported.tightest.layer}), "
        "exact below 2^53"
    )
