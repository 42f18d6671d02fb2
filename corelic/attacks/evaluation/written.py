"""Attacked pictures through real files, before anything is measured: PNG out, PNG in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corelic.attacks.attack import AttackResult
from corelic.media import picture_bytes, read_picture

PNG = Path("attacked.png")


def reread(result: AttackResult) -> tuple[AttackResult, bytes]:
    """The result of a one-frame attack as its PNG holds it, and that PNG."""
    (picture,) = result.pictures
    data = picture_bytes(picture, PNG)
    return replace(result, pictures=(read_picture(data),)), data
