"""Folders: what is taken, and where it goes."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corelic.errors import OutputError, PictureError
from corelic.jobs import STREAM
from corelic.tree import Tree, distinct_names, plan_tree


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def planned(*sources: str, output: str | None = "out") -> Tree:
    return plan_tree(
        [Path(source) for source in sources],
        None if output is None else Path(output),
        taken=(".png", ".jpg"),
        suffix=".clc",
        overwrite=False,
    )


def outputs(tree: Tree) -> dict[str, str]:
    return {str(job.source): str(job.output) for job in tree.jobs}


def test_the_tree_is_mirrored_in_order() -> None:
    make("in/z/b.JPG", "in/z/y/ü ñ.png", "in/b.png", "in/a.tar.png", "in/notes.txt", "in/no")
    tree = planned("in")
    assert list(outputs(tree).items()) == [
        ("in/a.tar.png", "out/a.tar.clc"),
        ("in/b.png", "out/b.clc"),
        ("in/z/b.JPG", "out/z/b.clc"),
        ("in/z/y/ü ñ.png", "out/z/y/ü ñ.clc"),
    ]
    assert (tree.left_out, tree.failures) == ((Path("in/no"), Path("in/notes.txt")), ())


def test_planning_makes_nothing_and_checking_makes_the_folder() -> None:
    make("in/x/a.png")
    [job] = planned("in").jobs
    assert not Path("out").exists()
    job.check()
    assert Path("out/x").is_dir()


def test_a_file_where_a_folder_belongs_is_an_output_error() -> None:
    make("in/x/a.png", "out/x")
    [job] = planned("in").jobs
    with pytest.raises(OutputError, match=r"out/x: a folder is needed there, and there is a file"):
        job.check()


def test_without_an_output_results_go_beside_their_sources() -> None:
    make("in/x/a.png", "b.png")
    assert outputs(planned("in", "b.png", output=None)) == {
        "in/x/a.png": "in/x/a.clc",
        "b.png": "b.clc",
    }


def test_files_named_are_taken_whatever_their_suffix() -> None:
    make("in/a.png", "other/picture")
    assert outputs(planned("in", "other/picture")) == {
        "in/a.png": "out/a.clc",
        "other/picture": "out/picture.clc",
    }


def test_names_that_clash_keep_their_suffixes() -> None:
    make("in/a.png", "in/a.jpg", "in/b.png", "in/x/a.png", "in/x/c.png", "in/x/C.jpg")
    assert outputs(planned("in")) == {
        "in/a.jpg": "out/a.jpg.clc",
        "in/a.png": "out/a.png.clc",
        "in/b.png": "out/b.clc",
        "in/x/a.png": "out/x/a.clc",
        # One name on a disk that ignores case.
        "in/x/C.jpg": "out/x/C.jpg.clc",
        "in/x/c.png": "out/x/c.png.clc",
    }


def test_a_name_that_clashes_with_a_longer_one_grows_too() -> None:
    make("in/a.png", "in/a.jpg", "in/a.png.png", "in/a.png.png.jpg")
    assert outputs(planned("in")) == {
        "in/a.jpg": "out/a.jpg.clc",
        "in/a.png": "out/a.png.clc",
        "in/a.png.png": "out/a.png.png.clc",
        "in/a.png.png.jpg": "out/a.png.png.jpg.clc",
    }


def test_two_folders_with_one_name_in_both_are_refused() -> None:
    make("in/a.png", "more/a.png")
    with pytest.raises(OutputError, match=r"both in/a\.png and more/a\.png would go there"):
        planned("in", "more")


def test_hidden_files_are_taken_and_companions_are_not() -> None:
    make("in/.a.png", "in/.x/b.png", "in/._b.png")  # the last is no picture: macOS makes such
    tree = planned("in")
    assert outputs(tree) == {"in/.a.png": "out/.a.clc", "in/.x/b.png": "out/.x/b.clc"}
    assert tree.left_out == (Path("in/._b.png"),)


def test_links_to_files_are_taken_and_those_to_folders_are_not_followed() -> None:
    make("elsewhere/a.png", "in/b.png")
    Path("in/a.png").symlink_to("../elsewhere/a.png")
    Path("in/gone.png").symlink_to("nowhere")  # is no picture any more, and shall fail by name
    Path("in/loop").symlink_to(".", target_is_directory=True)
    assert list(outputs(planned("in"))) == ["in/a.png", "in/b.png", "in/gone.png"]
    Path("link").symlink_to("in", target_is_directory=True)
    assert len(planned("link").jobs) == 3  # for it was named


def test_what_never_ends_is_left_out() -> None:
    make("in/a.png")
    os.mkfifo("in/pipe.png")
    tree = planned("in")
    assert (list(outputs(tree)), tree.left_out) == (["in/a.png"], (Path("in/pipe.png"),))


def test_an_output_inside_the_source_is_no_source() -> None:
    make("in/a.png", "in/out/b.png")
    assert list(outputs(planned("in", output="in/out"))) == ["in/a.png"]
    assert list(outputs(planned("in", output="in"))) == ["in/a.png", "in/out/b.png"]


def test_a_folder_that_cannot_be_listed_is_a_failure_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make("in/a.png", "in/secret/b.png", "in/z/c.png")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:  # not chmod: a superuser lists anything
        if os.path.basename(path) == "secret":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    tree = planned("in")
    assert list(outputs(tree)) == ["in/a.png", "in/z/c.png"]
    assert [str(failure) for failure in tree.failures] == [
        "in/secret: cannot be listed (permission denied)"
    ]


@pytest.mark.parametrize("output", ["-", "in/a.png"])
def test_an_output_that_is_no_folder_is_refused(output: str) -> None:
    make("in/a.png")
    with pytest.raises(OutputError, match="need a folder"):
        planned("in", output=output)


def test_standard_input_is_no_folder() -> None:
    with pytest.raises(PictureError, match="leave -r out"):
        planned(str(STREAM))


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_names_are_text_whatever_their_bytes() -> None:
    assert distinct_names([Path(os.fsdecode(b"a/b\xff.png")), Path("é.png")]) == [
        "b\\xff.png",
        "é.png",
    ]
