"""Folders for what is not whole yet, and what is said of a disk that does not take it."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from analyzers.errors import StorageError
from analyzers.storage import storage_errors, unfinished_beside

ROOT = Path(__file__).parents[2]
WRITES = """
import sys, time
from pathlib import Path
from analyzers.storage import unfinished_beside
with unfinished_beside(Path(sys.argv[1])) as work:
    (work / "model.safetensors").write_bytes(bytes(1000))
    print(work, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_and_what_another_writes_stays(tmp_path: Path):
    def begin() -> tuple[subprocess.Popen[str], Path]:
        words = [sys.executable, "-c", WRITES, str(tmp_path / "model")]
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (dead, left), (alive, written) = begin(), begin()
    try:
        os.kill(dead.pid, signal.SIGKILL)
        dead.wait()
        assert left.is_dir()
        with unfinished_beside(tmp_path / "model") as work:
            assert sorted(path for path in tmp_path.iterdir()) == sorted([work, written])
            assert (written / "model.safetensors").is_file()
    finally:
        alive.kill()
        for process in (dead, alive):
            process.communicate()


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full: .*make room or choose another place with --output"),
        (OSError(errno.EROFS, "x"), "the folder is not writable: .*saved; choose another place with --output"),
        (OSError(errno.EFBIG, "x"), "a file may not be so large here"),
        (SafetensorError("I/O error: File too large (os error 27)"), "a file may not be so large here"),
    ],
)
def test_a_disk_that_does_not_take_it(problem: Exception, words: str, tmp_path: Path):
    with pytest.raises(StorageError, match=words), storage_errors(tmp_path, "--output"):
        raise problem


def test_another_error_is_not_of_the_disk(tmp_path: Path):
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "x")
