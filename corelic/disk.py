"""One file: read whole, written whole or not at all, and why not in words.

A result gets its name when it is complete, and not before.
"""

import errno
import os
import secrets
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISREG

from corelic.errors import OutputError, PictureError


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError(str(path), "there is no such file; check the name") from None
    except OSError as error:
        if os.path.isdir(path):
            reason = f"is a folder; name the files in it, e.g. {path / '*.png'}"
            hint = "encode and decode take it with -r"
            raise PictureError(str(path), f"{reason}; {hint}") from None
        raise PictureError(str(path), f"cannot be read ({why(error)})") from error


def atomic_write(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """All of `data` under `path`, or nothing; OutputError says why.

    Written beside it under a temporary name, synced, then renamed, so that neither a full disk, an
    interruption nor a power cut leaves half a file. Without `overwrite` an existing file is safe
    even from one that appears meanwhile; with it, its permissions stay.
    """
    target = Path(os.path.realpath(path))  # writes through a symlink, as `cp` does
    if check_output(path, overwrite=overwrite):
        temporary = target.with_name(f".corelic-{secrets.token_hex(8)}.part")
    else:
        temporary = target = path  # a device or a pipe: nothing to rename to, perhaps no real name
    try:
        try:
            _write_synced(temporary, data, new=temporary != target)
            if temporary != target:
                # Windows neither renames nor removes what may only be read.
                if overwrite and target.exists() and os.name != "nt":
                    os.chmod(temporary, S_IMODE(os.stat(target).st_mode))
                _rename(temporary, target, overwrite=overwrite)
        finally:
            if temporary != target:
                temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise OutputError(str(path), why(error)) from error


def check_output(path: Path, *, overwrite: bool) -> bool:
    """Whether `path` is a file, or will be one; OutputError if it cannot be written."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise OutputError(str(path), f"there is no folder {folder}; create it first") from None
        _check_writable(path)
        return True
    except OSError as error:
        raise OutputError(str(path), why(error)) from error
    if S_ISDIR(mode):
        raise OutputError(str(path), "that is a folder; name a file in it")
    if S_ISREG(mode) and not overwrite:
        raise _exists(path)
    if S_ISREG(mode):
        _check_writable(path)
    return S_ISREG(mode)


def _check_writable(path: Path) -> None:
    """OutputError where no new file can be beside it: a result is written there, then renamed."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(str(path), f"nothing can be written into {folder}; check its permissions")


def make_folder(path: Path) -> None:
    """With all above it, unless it is there; OutputError says why not."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(str(path), "a folder is needed there, and there is a file") from None
    except OSError as error:
        raise OutputError(str(path), why(error)) from error


def why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space"
    return (error.strerror or str(error)).lower()


def _exists(path: Path) -> OutputError:
    return OutputError(str(path), "it exists already; replace it with --overwrite (overwrite=True)")


def _write_synced(path: Path, data: bytes, *, new: bool) -> None:
    # Not `tempfile`: its files are for their owner alone, and a result obeys the umask.
    flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_EXCL if new else 0)
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        if new:
            os.fsync(file.fileno())


def _rename(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)  # unlike a rename it fails, in one step, where a file exists
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # No links here, for which systems have many words; another obstacle is met again below.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))  # claims the name
        try:
            os.replace(temporary, target)
        except BaseException:
            target.unlink()
            raise
