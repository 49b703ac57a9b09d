"""One run in words, as the search index reads it."""

from analyzers.records import (
    AnalysisResult,
    CompressionResult,
    EvaluationResult,
    ExportResult,
    PlanResult,
    Run,
    TrainResult,
)
from knowledge.labels import Labels

# English and Chinese, so that a question in either finds the run.
KINDS = {
    "train": "training, fine-tuning a model. 训练 微调 模型",
    "analysis": "analysis of layer importance: which layers matter. 分析 哪些层重要 层的重要性",
    "plan": "plan of which layers to remove, pruning candidates. 剪枝方案 计划 删除哪些层",
    "compression": "compression: the smaller, compressed, pruned, faster model. 压缩后的小模型 剪枝后的模型 更小 更快",
    "evaluation": "evaluation: quality and speed, measured. 评估 测试 准确率",
    "export": "export: the model written for other programs, Ollama, GGUF, ONNX. 导出 转换格式",
}


def describe(run: Run, labels: Labels) -> str:
    """A few lines: what was done, with what, what came out, and what a person said of it."""
    lines = [
        f"{run.id}: {KINDS[run.kind]}",
        f"model {run.model}, data {run.data or 'none'}, {run.status}, {run.created:%Y-%m-%d %A}",
        *([f"made from {', '.join(run.parents)}"] if run.parents else []),
        *_result(run),
        *([f"failed: {run.error}"] if run.error else []),
    ]
    numbers = [
        f"{m.name} of {m.subject}{f' on {m.split}' if m.split else ''} {m.value:.4g} {m.unit}".strip()
        for m in run.measurements[:12]
    ]
    said = [*([f"tags: {', '.join(labels.tags)}"] if labels.tags else []), *(each.text for each in labels.notes)]
    return "\n".join(lines + said + ([", ".join(numbers)] if numbers else []) + [run.command])


def _result(run: Run) -> list[str]:
    match run.result:
        case TrainResult() as trained:
            return [f"{trained.task} with {trained.layers} layers, labels {', '.join(trained.labels[:10])}"]
        case AnalysisResult() as analysis:
            methods = ", ".join(analysis.scores).replace("_", " ")
            return [
                f"{analysis.task}, importance by {methods}",
                f"most important layers first: {', '.join(map(str, analysis.consensus))}",
            ]
        case PlanResult() as plan:
            target = ", ".join(f"{name} {value:g}" for name, value in plan.target.items())
            return [f"{plan.task}, target {target}, remove layers {', '.join(map(str, plan.remove))}"]
        case CompressionResult() as compression:
            healing = compression.healing.strategy if compression.healing else "none"
            removed = ", ".join(map(str, compression.removed))
            return [f"{compression.task}, layers {removed} removed, healing {healing}, saved as {compression.format}"]
        case EvaluationResult() as evaluation:
            return [f"{evaluation.task}, {evaluation.layers} layers"]
        case ExportResult() as exported:
            return [f"written as {exported.format}, opened by {exported.runtime}, in {exported.folder}"]
    return []
