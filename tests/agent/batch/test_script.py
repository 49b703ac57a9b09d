"""Scripts read, checked as a whole, and made into tasks."""

from pathlib import Path

import pytest

from agent.batch.expansion import Task, expand
from agent.batch.script import parse_script, read_script, settings_of
from analyzers.errors import BadScript, UsageError
from tests.sample_runs import story
from tools.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, no_index: None) -> Workspace:
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


def tasks_of(text: str, workspace: Workspace, **given: object) -> list[Task]:
    return expand(parse_script(text, "x.yaml", given, "x"), workspace)


def faults(text: str, workspace: Workspace, **given: object) -> list[str]:
    with pytest.raises(BadScript) as caught:
        tasks_of(text, workspace, **given)
    lines = str(caught.value).splitlines()
    return [line.strip().removeprefix("x.yaml:") for line in lines[1 if len(lines) > 1 else 0 :]]


SWEEP = """\
variables: {model: demo:minilm, folder: out}
matrix:
  ratio: [2, 3]
  seed: [0, 1]
steps:
  - train: {model: "${model}", data: demo:amazon, seed: "${seed}"}
  - analyze: {model: "${train.run}", data: demo:amazon, methods: "fisher,shap"}
  - plan: {analysis: "${analyze.run}", ratio: "${ratio}"}
    assert: accuracy >= train.accuracy - 0.${ratio}
  - name: all
    report: {runs: "${plan.runs}", out: "${folder}/all.html"}
  - name: by_ratio
    needs: all
    report: {runs: ["${plan.runs}"], out: "r${ratio}.html"}
"""


def test_a_step_is_done_once_for_each_combination_that_it_uses(workspace: Workspace):
    tasks = {task.name: task for task in tasks_of(SWEEP, workspace)}
    assert list(tasks) == [
        *(f"train[seed={seed}]" for seed in (0, 1)),
        *(f"analyze[seed={seed}]" for seed in (0, 1)),
        *(f"plan[ratio={ratio}, seed={seed}]" for ratio in (2, 3) for seed in (0, 1)),
        "all",
        *(f"by_ratio[ratio={ratio}]" for ratio in (2, 3)),
    ]
    plan = tasks["plan[ratio=3, seed=1]"]
    assert plan.given == {"analysis": "${analyze.run}", "ratio": 3}
    assert plan.waits == ("analyze[seed=1]", "train[seed=1]")
    assert [gate.text for gate in plan.gates] == ["accuracy >= train.accuracy - 0.3"]
    assert plan.fields({"analyze[seed=1]": "analysis-1"}) == {"analysis": "analysis-1", "ratio": 3}
    some = {"plan[ratio=2, seed=0]": "plan-1", "plan[ratio=3, seed=1]": "plan-2"}
    assert tasks["all"].fields(some) == {"runs": ["plan-1", "plan-2"], "out": "out/all.html"}
    assert tasks["by_ratio[ratio=3]"].waits == ("plan[ratio=3, seed=0]", "plan[ratio=3, seed=1]", "all")


def test_values_of_the_command_line_go_first(workspace: Workspace):
    given = settings_of(("ratio=[4]", "seed=7", "model=demo:smollm2", "folder="))
    assert given == {"ratio": [4], "seed": 7, "model": "demo:smollm2", "folder": ""}
    tasks = tasks_of(SWEEP, workspace, **given)
    assert [task.name for task in tasks] == ["train[seed=7]", "analyze[seed=7]", "plan[ratio=4, seed=7]", "all", "by_ratio[ratio=4]"]  # fmt: skip
    assert tasks[0].given["model"] == "demo:smollm2"
    with pytest.raises(UsageError, match="write NAME=VALUE"):
        settings_of(("ratio",))


def test_steps_come_after_what_they_need_wherever_they_stand(workspace: Workspace):
    text = """\
steps:
  - plan: {analysis: "${analyze.run}", keep: 3}
  - analyze: {model: demo:minilm, data: demo:amazon}
"""
    assert [task.name for task in tasks_of(text, workspace)] == ["analyze", "plan"]


def test_every_fault_is_told_at_once_with_line_and_column(workspace: Workspace):
    text = """\
variables:
  model: demo:minilm
  nothing:
matrix:
  ratio: [2, 2]
steps:
  - name: t
    train: {model: "${model}", data: "${date}", epochs: three, speed: 9}
  - name: t
    analyse: {model: "${t.run}"}
  - name: p
    plan: {analysis: "${t.run}", keep: yes}
    time_limit: 30
    assert: acuracy >= 3
  - needs: [x]
  - report: [3]
    fresh: maybe
  - name: dense
    compress: {plan: "${q.run}", epochs: 1.5, quantize: int3}
    needs: [x]
  - name: s
    analyze: {model: demo:minilm, data: demo:amazn, methods: [shapp]}
  - ask: {text: hello, llm: gpt}
  - plan: {analysis: analysis-zzzzzz, ratio: 2, keep: 3}
"""
    told = faults(text, workspace, colour="red")
    expected = [
        "1:1: --set colour: the script has no such variable; there are: model, nothing, ratio",
        "3:11: variable 'nothing' has no value",
        "5:10: 'ratio' has a value twice",
        "8:38: there is no variable 'date'",
        "8:57: epochs is 'three': it should be a valid integer",
        "8:64: unknown field 'speed'",
        "10:5: unknown step or field 'analyse'; steps are: train, analyze,",
        "12:22: analysis of plan takes a run of analyze or ask, and t is a step train",
        "12:40: keep is True: no field of plan is true or false",
        "13:17: time_limit 30 is no time; write a number with its unit",
        "14:13: nothing measures 'acuracy' (did you mean accuracy?)",
        "15:5: the step does nothing; it needs exactly one of: train,",
        "16:13: report takes fields (KEY: VALUE), not [3]",
        "17:12: fresh is 'maybe': it should be a valid boolean",
        "18:11: 'dense' is what gates call a model by",
        "19:22: there is no step 'q'; there are: t, p,",
        "19:42: epochs is 1.5: it should be a valid integer",
        "19:57: no precision 'int3'; there are: none, int8, nf4",
        "20:12: there is no step 'x'",
        "22:41: no data set 'demo:amazn' (did you mean demo:amazon?)",
        "22:62: no importance method 'shapp'",
        "23:29: no language model 'gpt'; allowed are: auto, offline, ollama:MODEL, openai:MODEL",
        "24:11: 2 targets were given",
    ]
    for each in expected:
        assert any(line.startswith(each) for line in told), f"{each}\n{told}"
    assert sorted(told, key=lambda line: [int(part) for part in line.split(":")[:2]]) == told


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            '- {name: a, report: {runs: ["${b.runs}"], out: a.md}}\n  - {name: b, plan: {analysis: "${c.run}", keep: 1}}\n'
            '  - {name: c, analyze: {model: m/m, data: demo:nyt}, needs: a}',
            "2:5: these steps wait for one another: ",
        ),
        ('- {name: a, train: {model: "${a.run}", data: demo:nyt}}', "these steps wait for one another: a -> a"),
        ("- {train: {model: m/m, data: demo:nyt}, assert: a.accuracy > 1}", "a.accuracy"),
        ("- {train: {model: m/m, data: demo:nyt}}\n  - {train: {model: m/m, data: demo:nyt}}", "3:5: two steps are called 'train'"),
        ("- {train: {model: m/m, data: demo:nyt}, evaluate: {}}", "train and evaluate stand in one step"),
        ("- {train: {data: demo:nyt}}", "2:13: 'model' is missing"),
        ("- {evaluate: {model: train-zzzzzz, data: demo:nyt}}", "no run 'train-zzzzzz'"),
        ("- {train: {model: a/b, data: csv:nothing.csv}}", "no file 'nothing.csv'"),
        ("- {report: {runs: train-9r2bme, out: x.doc}}", "a report ends in .html"),
        ('- {train: {model: a, data: demo:nyt, from_scratch: {layers: 4, width: 9, heads: 2, vocabulary: 300}}}', "width 9 is not divisible"),
        ('- {train: {model: a, data: demo:nyt, from_scratch: no.yaml}}', "cannot read no.yaml"),
        ('- {name: a, train: {model: m/m, data: demo:nyt}}\n  - {evaluate: {model: "${a.runs}", data: demo:nyt}}', "takes one run; write ${a.run}"),
        ('- {name: a, train: {model: m/m, data: demo:nyt}}\n  - {evaluate: {model: m/m, data: "${a.run}"}}', "data of evaluate takes no run"),
        ("- {train: {model: m/m, data: demo:nyt}, name: 3x}", "name is '3x'"),
        ("- {train: {model: m/m, data: demo:nyt}, time_limit: ${a}}", "there is no variable 'a'"),
        ("- {train: {model: m/m, data: demo:nyt}, on_error: ignore}", "on_error is 'ignore'"),
        ("- 3", "a step has a verb and its fields"),
        ("- {opinion: {run: analysis-1, llms: []}}", "llms is []"),
        ("- {ask: ''}", "text is ''"),
    ],
)  # fmt: skip
def test_one_fault(steps: str, said: str, workspace: Workspace):
    if "${a}" in steps:
        steps = steps.replace("${a}", '"${a}"')
    assert any(said in line for line in faults(f"steps:\n  {steps}\n", workspace))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: a script is KEY: VALUE with steps, not NoneType"),
        ("- a\n", "not list"),
        ("steps: []\n", "1:8: steps is []"),
        ("stepz: [1]\nsteps: [1]\n", "1:1: unknown field 'stepz'"),
        ("name: x\n", "'steps' is missing"),
    ],
)
def test_what_is_no_script(text: str, said: str, workspace: Workspace):
    assert any(said in line for line in faults(text, workspace))


def test_a_matrix_that_is_too_large(workspace: Workspace):
    text = 'matrix: {seed: %s, epochs: %s}\nsteps:\n  - {train: {model: m/m, data: demo:nyt, seed: "${seed}", epochs: "${epochs}"}}\n'
    told = faults(text % (list(range(40)), list(range(1, 41))), workspace)
    assert told == ["1:1: the matrix asks for more than 1,000 steps; leave out some of its values"]


def test_two_steps_that_write_one_file(workspace: Workspace):
    for run in story():
        workspace.runs.save(run)
    text = f'matrix: {{seed: [1, 2]}}\nsteps:\n  - {{name: a, train: {{model: m/m, data: demo:nyt, seed: "${{seed}}"}}}}\n  - {{report: {{runs: ["${{a.run}}", {story()[0].id}], out: a.md}}}}\n'
    assert "would both write a.md" in faults(text, workspace)[0]


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(BadScript, match="No such file or directory; a script is a YAML file"):
        read_script(tmp_path / "no.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(BadScript, match="not UTF-8"):
        read_script(tmp_path / "latin.yaml", {})


def test_a_configuration_in_the_script_has_a_file_by_its_content(workspace: Workspace):
    text = 'matrix: {depth: [4, 8]}\nsteps:\n  - {train: {model: a, data: demo:nyt, from_scratch: {layers: "${depth}", width: 8, heads: 2, vocabulary: 300}}}\n'
    tasks = tasks_of(text, workspace)
    assert [task.given["from_scratch"]["layers"] for task in tasks] == [4, 8]
    assert not (workspace.home / "batches").exists()  # nothing is written before it runs
