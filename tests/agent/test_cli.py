"""The command line's contract: one JSON document, exit codes 0 to 3, one line for every error, and a fast start."""

import json
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tools
from agent.cli import main
from analyzers.errors import Cancelled, NoBlocks, VerificationFailed
from analyzers.progress import Progress
from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    EvaluateRequest,
    PlanRequest,
    Run,
    TrainRequest,
)
from analyzers.requests import ExportRequest
from knowledge.runs import RunStore
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run
from tools.workspace import Workspace

VERBS = {
    "train": (["demo:minilm", "demo:amazon"], train_run()),
    "analyze": (["train-2a2a2a", "demo:amazon"], analysis_run()),
    "plan": (["analysis-3b3b3b", "--ratio", "2"], plan_run()),
    "compress": (["plan-4c4c4c"], compression_run()),
    "evaluate": (["compression-5d5d5d", "demo:movie"], evaluation_run()),
    "export": (["compression-5d5d5d", "--format", "gguf"], export_run()),
}


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "home", embedder_folder=None)


@pytest.fixture
def filled(store: RunStore) -> RunStore:
    for run in [*story(), evaluation_run()]:
        store.save(run)
    return store


class Workflows(types.ModuleType):
    """Stands for tools.workflows: remembers what it was asked, and answers as told."""

    def __init__(self) -> None:
        super().__init__("tools.workflows")
        self.asked: list[tuple] = []
        self.answer = lambda name: VERBS[name][1]

    def __getattr__(self, name: str):
        if name not in VERBS:
            raise AttributeError(name)

        def workflow(request, workspace: Workspace, progress: Progress, **extra) -> Run:
            self.asked.append((request, workspace, extra))
            progress.say("working")
            print("a library that prints")
            return self.answer(name)

        return workflow


@pytest.fixture
def workflows(monkeypatch: pytest.MonkeyPatch) -> Workflows:
    fake = Workflows()
    monkeypatch.setitem(sys.modules, "tools.workflows", fake)
    monkeypatch.setattr(tools, "workflows", fake, raising=False)
    return fake


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def one_line(result: Result) -> str:
    lines = result.stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return errors[0]


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_the_run_and_nothing_else(workflows: Workflows, verb: str) -> None:
    words, run = VERBS[verb]
    result = call(verb, *words, "--json")
    assert result.exit_code == 0, result.stderr
    assert Run.model_validate(json.loads(result.stdout)) == run
    assert "working" in result.stderr
    assert "a library that prints" in result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_people_see_what_was_found_and_what_to_type_next(workflows: Workflows, verb: str) -> None:
    words, run = VERBS[verb]
    result = call(verb, *words)
    assert result.exit_code == 0
    assert result.stdout.startswith(run.id)
    assert "a library that prints" not in result.stdout
    if verb == "export":
        assert "\nrun     ollama create" in result.stdout
    elif verb != "evaluate":
        assert "next    layerwise " in result.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ["train", "demo:minilm", "demo:amazon", "--epochs", "5", "--learning-rate", "3e-5", "--seed", "7"],
            TrainRequest(model="demo:minilm", data="demo:amazon", epochs=5, learning_rate=3e-5, seed=7),
        ),
        (
            ["train", "m", "csv:a.csv", "--text", "the body", "--label", "stars", "--from-scratch", "small.yaml"],
            TrainRequest(model="m", data="csv:a.csv?text=the%20body&label=stars", from_scratch="small.yaml"),
        ),
        (
            ["analyze", "m", "csv:a.csv?text=body", "--label", "y", "--methods", "fisher, shap,fisher"],
            AnalyzeRequest(model="m", data="csv:a.csv?text=body&label=y", methods=("fisher", "shap")),
        ),
        (["analyze", "m", "d", "--samples", "64"], AnalyzeRequest(model="m", data="d", samples=64)),
        (["analyze", "m", "d", "--samples", "auto"], AnalyzeRequest(model="m", data="d", samples="auto")),
        (["plan", "a", "--keep", "3", "--budget", "9"], PlanRequest(analysis="a", keep=3, budget=9)),
        (["plan", "a", "--max-drop", "0.02"], PlanRequest(analysis="a", max_drop=0.02)),
        (["compress", "p", "--heal", "none"], CompressRequest(plan="p", heal="none")),
        (["evaluate", "m", "d", "--batch-size", "4"], EvaluateRequest(model="m", data="d", batch_size=4)),
        (["export", "p", "--remove", "3, 11", "--output", "o"], ExportRequest(model="p", remove=(3, 11), output="o")),
    ],
)
def test_words_become_a_request(workflows: Workflows, tmp_path: Path, words: list[str], wanted) -> None:
    assert call(*words).exit_code == 0
    request, workspace, extra = workflows.asked[0]
    assert request == wanted
    assert workspace.home == tmp_path / "home"
    assert extra == ({"resume": False} if words[0] in ("train", "compress") else {})


def test_the_recorded_command_asks_for_the_same(workflows: Workflows) -> None:
    import shlex

    words = ["analyze", "m", "csv:my file.csv", "--text", "a&b", "--methods", "fisher,shap", "--max-tokens", "64"]
    call(*words)
    call(*shlex.split(workflows.asked[0][0].command())[1:])
    assert workflows.asked[0][0] == workflows.asked[1][0]


def test_resume_and_home_are_passed_on(workflows: Workflows, tmp_path: Path) -> None:
    assert call("train", "m", "d", "--resume", "--home", str(tmp_path / "other")).exit_code == 0
    _, workspace, extra = workflows.asked[0]
    assert extra == {"resume": True}
    assert workspace.home == tmp_path / "other"
    assert workspace.cache == tmp_path / "cache"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train"], "Missing argument 'MODEL'"),
        (["fly"], "No such command 'fly'"),
        (["train", "m", "d", "--epochs", "many"], "'many' is not a valid integer"),
        (["train", "m", "d", "--epochs", "0"], "--epochs 0: it should be greater than or equal to 1"),
        (["train", "m", "d", "--seed", "-1"], "--seed -1: it should be greater than or equal to 0"),
        (["train", "m", "d", "--seed", "99999999999"], "--seed 99999999999: it should be less than 4294967296"),
        (["analyze", "m", "d", "--samples", "2"], "--samples 2: it should be greater"),
        (["analyze", "m", "d", "--samples", "many"], "'many' is not allowed; allowed is: integer|auto"),
        (["plan", "a"], "exactly one of --ratio R, --keep N, --max-drop D"),
        (["plan", "a", "--ratio", "2", "--keep", "3"], "exactly one of"),
        (["export", "p", "--remove", "first"], "--remove 'first': it should be a valid integer"),
        (["compress", "p", "--heal", "prayer"], "no strategy of healing; there are: none, distill, linear"),
        (["runs", "show", "plan-zzzzzz"], "no run 'plan-zzzzzz'; the newest are evaluation-6e6e6e"),
        (["runs", "delete", "analysis-3b3b3b"], "delete those first"),
        (["runs", "compare", "train-2a2a2a"], "two or more"),
        (["runs", "search", " "], "nothing to search for"),
        (["report", "train-2a2a2a", "--out", "report.doc"], ".html, .md, .json or .pdf"),
        (["report", "train-2a2a2a", "--out", "report.html", "--compare"], "two or more different runs"),
        (["report", "train-2a2a2a", "--out", "report.html", "--language", "fr"], "'fr' is not one of"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_use_is_one_line_and_exit_code_2(
    workflows: Workflows, filled: RunStore, words: list[str], says: str, as_json: bool
) -> None:
    result = call(*words, *(["--json"] if as_json else []))
    assert result.exit_code == 2
    assert says in one_line(result)
    if as_json:
        error = json.loads(result.stdout)["error"]
        assert says in error["message"]
        assert error["type"]
    else:
        assert result.stdout == ""
    assert workflows.asked == []


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (NoBlocks("no stack of blocks"), 1, "no stack of blocks"),
        (VerificationFailed("not the same"), 1, "not the same"),
        (Cancelled("stopped; kept"), 3, "stopped; kept"),
        (KeyboardInterrupt(), 3, "layerwise runs list"),
        (OSError(28, "No space left on device"), 1, "the disk is full"),
        (RuntimeError("PytorchStreamWriter failed: No space left on device"), 1, "the disk is full"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied; check the path"),
        (OSError(30, "Read-only file system", "/y"), 1, "/y: Read-only file system"),
        (MemoryError(), 1, "smaller --batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "out of memory"),
    ],
)
def test_failures_are_one_line(workflows: Workflows, problem: BaseException, code: int, says: str) -> None:
    def fail(_: str) -> Run:
        raise problem

    workflows.answer = fail
    result = call("train", "m", "d", "--json")
    assert result.exit_code == code
    assert says in one_line(result)
    assert says in json.loads(result.stdout)["error"]["message"]


def test_a_fault_of_ours_shows_where(workflows: Workflows) -> None:
    def fail(_: str) -> Run:
        raise KeyError("oops")

    workflows.answer = fail
    result = call("train", "m", "d", "--json")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert json.loads(result.stdout)["error"]["type"] == "KeyError"


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("cancelled", 3), ("done", 0)])
def test_the_exit_code_follows_the_status_of_the_run(workflows: Workflows, status: str, code: int) -> None:
    workflows.answer = lambda _: train_run(status=status, error="x" if code else None)
    assert call("train", "m", "d").exit_code == code


def test_a_bad_setting_is_one_line(workflows: Workflows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERWISE_THREADS", "many")
    result = call("train", "m", "d")
    assert result.exit_code == 2
    assert "LAYERWISE_THREADS='many' is not allowed" in one_line(result)


def test_runs_list_and_show(filled: RunStore) -> None:
    listed = json.loads(call("runs", "list", "--json").stdout)
    assert [run["id"] for run in listed] == [run.id for run in filled.list()]
    assert len(json.loads(call("runs", "list", "--kind", "plan", "--json").stdout)) == 1
    assert len(json.loads(call("runs", "list", "--limit", "2", "--json").stdout)) == 2
    assert Run.model_validate_json(call("runs", "show", "plan-4c4c4c", "--json").stdout) == plan_run()
    shown = call("runs", "show", "plan-4c4c4c").stdout
    assert "remove layers 1-3" in shown
    assert str(filled.folder("plan-4c4c4c")) in shown
    assert "plan-4c4c4c" in call("runs", "list").stdout


def test_runs_list_of_an_empty_home_says_how_to_begin(store: RunStore) -> None:
    assert json.loads(call("runs", "list", "--json").stdout) == []
    assert "layerwise train" in call("runs", "list").stdout


def test_a_damaged_record_is_a_note_and_hides_nothing(filled: RunStore) -> None:
    (filled.folder("plan-4c4c4c") / "record.json").write_text("{")
    result = call("runs", "list", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 4
    assert "note: the record of plan-4c4c4c" in result.stderr
    assert call("runs", "show", "plan-4c4c4c").exit_code == 1


def test_runs_search_compare_export_delete_reindex(filled: RunStore, tmp_path: Path) -> None:
    hits = json.loads(call("runs", "search", "importance of layers", "--json").stdout)
    assert hits[0]["run"]["kind"] == "analysis"
    assert hits[0]["score"] >= hits[1]["score"]
    assert "analysis-3b3b3b" in call("runs", "search", "importance of layers", "--kind", "analysis").stdout

    compared = json.loads(call("runs", "compare", "train-2a2a2a", "compression-5d5d5d", "--json").stdout)
    assert compared["runs"] == ["train-2a2a2a", "compression-5d5d5d"]
    assert "cannot tell" in call("runs", "compare", "train-2a2a2a", "compression-5d5d5d").stdout

    out = tmp_path / "out.zip"
    assert json.loads(call("runs", "export", "plan-4c4c4c", str(out), "--json").stdout)["path"] == str(out)
    assert out.exists()
    assert call("runs", "export", "plan-4c4c4c", str(out)).exit_code == 2

    assert json.loads(call("runs", "delete", "evaluation-6e6e6e", "--json").stdout) == {"deleted": "evaluation-6e6e6e"}
    assert json.loads(call("runs", "reindex", "--json").stdout) == {"indexed": 4}


@pytest.mark.parametrize("verb", ["methods", "models", "datasets"])
def test_lists_are_json_and_tables(verb: str) -> None:
    rows = json.loads(call(verb, "--json").stdout)
    assert len(rows) >= 4
    first = next(iter(rows[0].values()))
    assert first in call(verb).stdout


def test_methods_say_what_they_mean_and_cost() -> None:
    rows = json.loads(call("methods", "--json").stdout)
    table = call("methods").stdout
    assert {"fisher", "cka", "dropout_uncertainty"} <= {row["id"] for row in rows}
    for row in rows:
        assert all(row[name] and row[name] in table for name in ("id", "title", "unit", "cost", "summary", "source"))


def test_chat_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    fake = types.ModuleType("agent.repl")
    fake.chat = lambda *words: asked.append(words) or 3
    monkeypatch.setitem(sys.modules, "agent.repl", fake)
    result = call("chat", "--llm", "offline", "--once", "hello", "--session", "monday", "--json")
    assert result.exit_code == 3
    settings, workspace, *rest = asked[0]
    assert rest == ["offline", "monday", "hello", True, "ask", False]
    assert workspace.home == settings.home == tmp_path / "home"
    call("chat")
    assert asked[1][2:] == ("auto", None, None, False, "ask", False)


HEAVY = ("torch", "transformers", "chromadb", "gradio", "plotly", "pandas", "langchain", "sklearn", "shap", "numpy")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["runs", "list"], ["models"]])
def test_a_light_command_loads_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom agent.cli import main\n"
        f"try: main({words!r})\n"
        f"finally: print('loaded', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stderr.strip().endswith("loaded []")


SLEEPER = """
import signal, sys, time, tools, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts behind "&" ignores it, and so do its children
fake = types.ModuleType("tools.workflows")
def train(request, workspace, progress, resume):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
fake.train = train
sys.modules["tools.workflows"] = tools.workflows = fake
from agent.cli import main
main(["train", "m", "d", "--json"])
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_one_line_and_exit_code_3(sent: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        assert next(iter(process.stderr or ())) == "ready\n"
        process.send_signal(sent)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()  # one that goes on would be a warning in another test
    assert process.returncode == 3
    assert err.strip() == (
        "error: cancelled; what was finished is kept: the same command goes on with it (train and compress with --resume), and "
        "finished runs are in: layerwise runs list"
    )
    assert json.loads(out)["error"]["type"] == "Cancelled"


def test_a_closed_pipe_is_no_fault(filled: RunStore) -> None:
    code = "from agent.cli import main; main(['runs', 'list', '--json'])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    process.stdout.close()
    time.sleep(0.1)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(20)


def test_what_the_process_itself_prints_stays_out_of_standard_output(tmp_path: Path) -> None:
    code = (
        "import os\nfrom agent.quiet import output_kept_for_results\n"
        "with output_kept_for_results(): os.system('echo noise')\n"
        "print('result')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert (done.stdout, done.stderr) == ("result\n", "noise\n")
