"""Curves that others published, by name: `kodak/dcae`. Sources and licences are in `curves/`."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from corelic.eval.rate_distortion import Curve, CurveError, read_curve

# Of sets that curves were measured on; an average over other pictures is none of theirs.
# None: their source does not say how many.
SET_SIZES = {
    "kodak": 24,
    "clic-pro-val": 41,
    "tecnick": 100,
    "clic2020-mobile": None,
    "clic2020-professional": None,
}


def names() -> tuple[str, ...]:
    """All of them, as `set/curve`, sorted."""
    return tuple(sorted(_paths()))


def find(source: str) -> Curve:
    """A published curve by name, else the file of that path; CurveError with a hint."""
    paths = _paths()
    if source in paths:  # a file cannot shadow a name
        return read_curve(paths[source])
    if Path(source).exists():
        return read_curve(Path(source))
    close = get_close_matches(source, paths, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else "corelic bdrate --list names what there is"
    raise CurveError(source, f"is neither a file nor a published curve; {hint}")


def of_other_sets(name: str, other: str, pictures: int) -> list[str]:
    """A warning where two curves average over different pictures, as far as can be told.

    pictures  how many those of a curve are that is not a published one; 0 if that is not known
    """
    over, over_other = (_pictures_of(each, pictures) for each in (name, other))
    if over == over_other or None in (over, over_other):
        return []
    return [f"one is over {over}, the other over {over_other}: perhaps off by tens of points"]


def _pictures_of(name: str, pictures: int) -> str | None:
    if name in names():  # a curve of one's own may be called as a set is, or lie in such a folder
        set_name = name.split("/")[0]
        size = SET_SIZES[set_name]
        return f"the pictures of {set_name}" if size is None else f"{size} pictures"
    return f"{pictures} pictures" if pictures else None


def _paths() -> dict[str, Path]:
    folder = Path(str(resources.files("corelic.eval"))) / "curves"
    return {f"{path.parent.name}/{path.stem}": path for path in folder.glob("*/*.json")}
