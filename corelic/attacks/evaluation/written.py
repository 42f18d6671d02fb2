"""Attacked pictures through real files, before anything is measured: PNG out, PNG in."""

from __future__ import annotations

from dataclasses import replace

from corelic.attacks.attack import AttackResult
from corelic.jobs import Job
from corelic.media import picture_bytes, read_picture


def written(result: AttackResult, job: Job) -> AttackResult:
    """The result of a one-frame attack, as it is read back from the PNG that `job` writes."""
    (picture,) = result.pictures
    job.write(picture_bytes(picture, job.output))
    return replace(result, pictures=(read_picture(job.output),))
