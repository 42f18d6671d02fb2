"""What a figure was measured on and with; goes into every result."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from corelic.codecs.files import device_of

PACKAGES = (
    *("corelic", "torch", "numpy", "scipy", "pillow", "constriction", "compressai"),
    *("pillow-jxl-plugin", "av", "imageio-ffmpeg"),
)


def machine(device: str = "cpu") -> dict[str, object]:
    """For JSON; call it when the number of threads is set."""
    gpu = torch.cuda.get_device_name() if device_of(device).type == "cuda" else None
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # not all are needed everywhere
            continue
    return found
