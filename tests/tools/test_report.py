"""A report is whole in itself, shows every number with its run, and cannot be broken by what is in a record."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analyzers.errors import StorageError, UnknownRun, UsageError
from analyzers.records import Run
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run
from tools.report import document, report, write
from tools.report_content import Bar, Bars, Table
from tools.workspace import Workspace

EVERYTHING = [*story(), evaluation_run()]


class Page(HTMLParser):
    """What a browser would load, the text, and the balance of tags."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.scripts = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes) -> None:
        fields = dict(attributes)
        if tag in ("script", "img", "iframe", "video", "link"):
            self.loads += [value for name, value in attributes if name in ("src", "href") and value]
        self.scripts += tag == "script"
        self.ids += [fields["id"]] if "id" in fields else []
        self.links += [fields["href"]] if tag == "a" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data + " "


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(EVERYTHING, tmp_path_factory.mktemp("report") / "report.html").read_text()


def test_the_page_loads_nothing_and_refuses_to(page: str) -> None:
    parsed = Page(page)
    assert parsed.loads == []
    assert parsed.open == []
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert page.count("plotly.js v") == 1  # the library once, however many charts


def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    parsed = Page(page)
    inside = {link[1:] for link in parsed.links if link.startswith("#")}
    assert {run.id for run in EVERYTHING} <= inside
    assert inside <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_every_measurement_stands_in_the_page(page: str) -> None:
    text = Page(page).text
    for shown in (
        "3 of 6 layers were removed: 1-3.",
        "keeps 98.0 % (95.9 to 100.2) of the accuracy and it is 1.87 times (1.80 to 1.95) as fast",
        "88.1 % (85.0 to 90.9) after, 89.9 % (87.1 to 92.5) before, on 455 examples",
        "the interval of the difference holds zero: this test cannot tell the two apart",
        "Kendall's W = 0.74",
        "71.3 % (68.2 to 74.0)",
        "6.10 ms (5.90 to 6.40)",
        "layerwise plan analysis-3b3b3b --ratio 2 --seed 0",
        "c" * 64,
        "75.2 % (72.9 to 77.4)",
    ):
        assert shown in text, shown
    for run in EVERYTHING:
        assert run.command in text


def test_each_chart_is_drawn_and_has_a_table(page: str) -> None:
    charts = [div for div in Page(page).ids if div.startswith("chart-")]
    assert len(charts) == 9
    assert page.count("Plotly.newPlot(") >= 9
    assert page.count("<table") >= 9


def test_markdown_says_the_same_without_charts(tmp_path: Path) -> None:
    text = write(EVERYTHING, tmp_path / "report.md").read_text()
    for shown in ("3 of 6 layers were removed: 1-3.", "88.1 % (85.0 to 90.9)", "| block influence | 2-4 |", "▓"):
        assert shown in text, shown
    assert "<" not in text.replace("<https", "")
    for run in EVERYTHING:
        assert f"`{run.id}`" in text
        assert run.command in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_bars_of_text_end_where_the_interval_does() -> None:
    bars = Bars("x", "loss", "nats", [Bar("a", 0.5, 0.25, 1.0), Bar("bb", 0.0), Bar("c", -1.0, -2.0, 0.5)])
    assert [line[:4] for line in bars.lines()] == ["a   ", "bb  ", "c   "]
    lines = [line[4:] for line in bars.lines()]
    assert lines[0] == "█" * 10 + "▓" * 10 + "░" * 20 + "  0.500 nats (0.250 to 1.00)"
    assert lines[1].strip() == "0 nats"
    assert lines[2].startswith("░" * 20 + " ")


def test_json_holds_the_records(tmp_path: Path) -> None:
    content = json.loads(write(EVERYTHING, tmp_path / "report.json").read_text())
    assert [Run.model_validate(run) for run in content["runs"]] == EVERYTHING
    assert content["title"] == "Layerwise: demo:minilm on demo:amazon"
    assert content["created"].endswith("Z")


@pytest.mark.parametrize("suffix", [".html", ".md"])
@pytest.mark.parametrize(
    "runs",
    [
        [train_run()],
        [analysis_run()],
        [plan_run()],
        [compression_run()],
        [evaluation_run()],
        [export_run()],
        [train_run(status="failed", result=None, measurements=[], error="no rows")],
        [compression_run(measurements=[])],
        story(30),
        [*story(), compression_run(run_id="compression-777777")],
    ],
    ids=[
        "train",
        "analysis",
        "plan",
        "compression",
        "evaluation",
        "export",
        "failed",
        "nothing-measured",
        "30-layers",
        "two",
    ],
)
def test_any_part_of_a_story_makes_a_report(runs: list[Run], suffix: str, tmp_path: Path) -> None:
    text = write(runs, tmp_path / f"report{suffix}").read_text()
    for run in runs:
        assert run.command in text
        assert run.error is None or run.error in text


def test_an_analysis_by_one_method_has_no_agreement(tmp_path: Path) -> None:
    result = analysis_run().result
    one = {"shap": result.scores["shap"]}
    agreement = result.agreement.model_copy(update={"kendall_w": None, "tau": {"shap": {"shap": 1.0}}})
    run = analysis_run(result=result.model_copy(update={"scores": one, "agreement": agreement}))
    sections = [section.id for section in document([run]).sections]
    assert "scores" in sections
    assert "agreement" not in sections


def test_text_from_a_record_is_never_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"
    run = train_run(model=evil, data="a|b\nc", error=evil, settings={evil: evil})
    harmless = Page(write([train_run()], tmp_path / "harmless.html").read_text())
    html = write([run], tmp_path / "report.html").read_text()
    parsed = Page(html)
    assert (parsed.scripts, parsed.loads) == (harmless.scripts, [])
    assert evil in parsed.text
    plan = plan_run()
    layer = plan.result.layers[0].model_copy(update={"name": evil})
    charted = plan_run(result=plan.result.model_copy(update={"layers": [layer, *plan.result.layers[1:]]}))
    assert "<script>alert" not in write([charted], tmp_path / "plan.html").read_text()
    assert "a\\|b c" in write([run], tmp_path / "report.md").read_text()


def test_honesty_about_differences() -> None:
    def text(value: float) -> str:
        measurements = [
            m.model_copy(update={"value": value}) if (m.name, m.subject) == ("accuracy", "healed") else m
            for m in compression_run().measurements
        ]
        return " ".join(
            fact.text for fact in document([compression_run(measurements=measurements)]).sections[0].blocks[0].items
        )

    assert "cannot tell the two apart" in text(0.88)
    assert "leaves out zero: it is more than chance" in text(0.80)


def test_limits_name_missing_parents_and_unfinished_runs() -> None:
    sections = {section.id: section for section in document([plan_run(30, status="cancelled")]).sections}
    text = " ".join(fact.text for fact in sections["limits"].blocks[0].items)
    assert "analysis-3b3b3b, which is not in this report" in text
    assert "cancelled" in text
    assert "Not every set of layers was measured" in text


def test_the_plan_is_marked_in_the_table_of_candidates() -> None:
    sections = {section.id: section for section in document([plan_run()]).sections}
    table = next(block for block in sections["plan"].blocks if isinstance(block, Table) and block.header[0] == "from")
    assert table.marked is not None
    assert table.rows[table.marked][0] == "search"
    assert table.rows[0][:2] == ["all layers", "none"]
    assert len(table.rows) == 8


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in EVERYTHING:
        workspace.runs.save(run)
    return workspace


def test_ancestors_are_pulled_in(workspace: Workspace, tmp_path: Path) -> None:
    out = report(["compression-5d5d5d"], tmp_path / "out" / "report.json", workspace)
    assert [run["id"] for run in json.loads(out.read_text())["runs"]] == [run.id for run in story()]


def test_a_deleted_ancestor_is_no_obstacle(workspace: Workspace, tmp_path: Path) -> None:
    workspace.runs.delete("analysis-3b3b3b", force=True)
    out = report(["plan-4c4c4c"], tmp_path / "report.md", workspace)
    assert "analysis-3b3b3b, which is not in this report" in out.read_text()


def test_bad_requests(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html, \.md or \.json"):
        report(["plan-4c4c4c"], tmp_path / "report.pdf", workspace)
    with pytest.raises(UnknownRun, match="plan-zzzzzz"):
        report(["plan-zzzzzz"], tmp_path / "report.md", workspace)
    with pytest.raises(UsageError, match="at least one run"):
        write([], tmp_path / "report.md")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        write(EVERYTHING, tmp_path / "folder.md")


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = write([train_run()], tmp_path / "report.md")
    before = out.read_text()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left"):
        write(EVERYTHING, out)
    assert out.read_text() == before
    assert list(tmp_path.iterdir()) == [out]
