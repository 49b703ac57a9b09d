"""What a saved model costs to run: one fresh process a model, timed in turn, each with a memory of its own.

Run as `python cost.py PATH ARCHITECTURE INPUTS DEVICE THREADS`: this file imports nothing of this project, and loads what
it needs by its path. The process answers lines: the name of a batch with the seconds of one pass, "peak" with bytes.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

WARM = 2  # passes of each batch before the clock starts
ENOUGH = 5  # rounds that are always timed
PATIENCE = 90  # seconds after which no further round begins


class Opened(Protocol):
    """A model in a process of its own."""

    def seconds(self, batch: str) -> float:
        """One pass over a batch."""
        ...

    def peak(self) -> int:
        """Bytes that opening the model and running it took so far, beside those of the libraries."""
        ...


@dataclass(frozen=True)
class Cost:
    seconds: Mapping[str, Any]  # batch -> (repetitions,); row i of each model was taken in the same round
    peak: int  # bytes
    disk: int  # bytes of the weights


class Here:
    """A model opened in this process: what the fresh process does."""

    def __init__(self, path: str, architecture: str, inputs: str, device: str) -> None:
        import torch
        import transformers.modeling_utils  # noqa: F401 - before the memory of the libraries is read
        from safetensors.torch import load_file

        self._footprint = _loaded(Path(__file__).parents[1] / "footprint.py")
        self._batches: dict[str, dict[str, Any]] = {}
        for name, value in load_file(inputs).items():
            batch, _, plain = name.partition("/")
            self._batches.setdefault(batch, {})[plain] = value.to(device)
        self._device = torch.device(device)
        self._footprint.forget_peak()
        self._before = self._footprint.memory_now()
        model, _ = _loaded(Path(__file__).parent / "formats" / "hf.py").opened(path, architecture)
        self._model: Any = model if device == "cpu" else model.to(device)

    def seconds(self, batch: str) -> float:
        import torch

        with torch.no_grad():
            self._wait()
            start = time.perf_counter()
            self._model(**self._batches[batch])
            self._wait()
            return time.perf_counter() - start

    def peak(self) -> int:
        import torch

        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return max(0, int(self._footprint.memory_peak()) - self._before)

    def _wait(self) -> None:
        import torch

        if self._device.type in ("cuda", "mps"):
            getattr(torch, self._device.type).synchronize()


class Fresh:
    """A model in a fresh process, which does what `Here` does."""

    def __init__(self, process: "subprocess.Popen[str]", said: TextIO) -> None:
        self._process, self._said = process, said

    def seconds(self, batch: str) -> float:
        return float(self._asked(batch))

    def peak(self) -> int:
        return int(self._asked("peak"))

    def _asked(self, line: str) -> str:
        from analyzers.errors import VerificationFailed

        try:
            print(line, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline() if self._process.stdout else ""
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._said.seek(0)
            last = (self._said.read().strip().splitlines() or ["no message"])[-1]
            raise VerificationFailed(f"the saved model cannot be run in a new process: {last}; it was not kept")
        return answer


@contextmanager
def in_fresh_process(path: Path, architecture: str, inputs: Path, device: str) -> Iterator[Opened]:
    """Open a model in a new interpreter, which ends with this context."""
    import torch

    words = [path, architecture, inputs, device, torch.get_num_threads()]
    command = [sys.executable, "-I", str(Path(__file__)), *map(str, words)]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, bufsize=1
        ) as process,
    ):
        try:
            yield Fresh(process, said)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # a question that a process which ended did not hear
                process.stdin.close() if process.stdin else None


def costs(
    folders: Mapping[str, Path],
    architecture: str,
    batches: Mapping[str, Mapping[str, Any]],
    repetitions: int,
    device: str,
    progress: Any,
) -> dict[str, Cost]:
    """Measure saved models, all of them open at the same time and run in turn (A B A B …).

    Args:
        folders: name of a model -> its Hugging Face folder.
        architecture: "causal" or "classification".
        batches: name of a batch -> inputs of the models.
        repetitions: of each batch at most, after two that are not counted; fewer of slow models.
        device: where they run.
        progress: told about the rounds.

    Raises:
        VerificationFailed: one cannot be opened or run.
    """
    import numpy as np
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        inputs = Path(work) / "inputs.safetensors"
        flat = {
            f"{batch}/{name}": t.contiguous().clone().cpu()
            for batch, each in batches.items()
            for name, t in each.items()
        }
        save_file(flat, inputs)
        opened = {
            name: stack.enter_context(in_fresh_process(folder, architecture, inputs, device))
            for name, folder in folders.items()
        }
        seconds: dict[str, dict[str, list[float]]] = {name: {batch: [] for batch in batches} for name in opened}
        begin = time.monotonic()
        for number in progress.track(range(WARM + repetitions), WARM + repetitions, "timing saved models"):
            if number >= WARM + ENOUGH and time.monotonic() - begin > PATIENCE:
                break
            for batch in batches:
                for name, model in opened.items():
                    taken = model.seconds(batch)
                    if number >= WARM:
                        seconds[name][batch].append(taken)
        return {
            name: Cost(
                {batch: np.array(values) for batch, values in seconds[name].items()},
                model.peak(),
                sum(file.stat().st_size for file in folders[name].glob("*.safetensors")),
            )
            for name, model in opened.items()
        }


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(lines: TextIO, answer: Callable[[str], None]) -> None:
    path, architecture, inputs, device, threads = sys.argv[1:]
    import torch

    torch.set_num_threads(int(threads))
    model = Here(path, architecture, inputs, device)
    for line in lines:
        word = line.strip()
        answer(str(model.peak() if word == "peak" else repr(model.seconds(word))))


if __name__ == "__main__":
    main(sys.stdin, lambda text: print(text, flush=True))
