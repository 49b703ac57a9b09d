"""YAML with the line and column of everything in it, so that each fault of a script can be pointed at."""

from typing import Any, NamedTuple

import yaml

from analyzers.errors import BadScript

MOST_VALUES = 20_000  # a script of aliases of aliases would otherwise grow without end

Path = tuple[str | int, ...]  # keys and positions from the top


class Mark(NamedTuple):
    line: int  # from 1
    column: int


class Problem(NamedTuple):
    """A fault of a script."""

    mark: Mark
    message: str


class Marked(NamedTuple):
    """What a file holds, and where it stands there."""

    content: Any
    values: dict[Path, Mark]
    keys: dict[Path, Mark]

    def of(self, path: Path) -> Mark:
        """Where a value stands, or what it would stand in."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Mark(1, 1))

    def key(self, path: Path) -> Mark:
        """Where the key of a value stands."""
        return self.keys.get(path) or self.of(path)


class _Loader(yaml.SafeLoader):
    """Without dates: nothing here is one, and a name such as 2026-11-25 stays a word."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str, name: str) -> Marked:
    """The content of a YAML text with its marks.

    Args:
        text: the file.
        name: of the file, for messages.

    Raises:
        BadScript: it is no YAML, a key stands twice, or it is too large.
    """
    marked = Marked(None, {}, {})
    problems: list[Problem] = []
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        content = _value(node, (), loader, marked, problems, ()) if node is not None else None
    except yaml.MarkedYAMLError as problem:
        mark = _mark(problem.problem_mark) if problem.problem_mark else Mark(1, 1)
        hint = "; inside braces a variable needs quotes: {model: '${model}'}" if "${" in text else ""
        raise refused(name, [Problem(mark, f"no YAML: {problem.problem or problem.context}{hint}")]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        first = str(problem).splitlines()[0]
        raise refused(name, [Problem(Mark(1, 1), f"no YAML: {first}")]) from None
    finally:
        if loader:
            loader.dispose()
    if problems:
        raise refused(name, problems)
    return marked._replace(content=content)


def refused(name: str, problems: list[Problem]) -> BadScript:
    """All faults in one error, in their order in the file, each once."""
    lines = [f"{name}:{mark.line}:{mark.column}: {message}" for mark, message in sorted(dict.fromkeys(problems))]
    many = f"{name} has {len(lines)} faults; nothing was started:\n  " if len(lines) > 1 else ""
    return BadScript(many + "\n  ".join(lines))


def _value(
    node: yaml.Node, path: Path, loader: _Loader, marked: Marked, problems: list[Problem], above: tuple[yaml.Node, ...]
) -> Any:
    if node in above:
        raise ValueError("an alias stands inside of what it names")
    if len(marked.values) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    marked.values[path] = _mark(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, mark = str(key_node.value), _mark(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                problems.append(Problem(mark, "a key has to be one word"))
                continue
            if key in found:
                problems.append(Problem(mark, f"{key!r} stands here twice"))
            marked.keys[(*path, key)] = mark
            found[key] = _value(value_node, (*path, key), loader, marked, problems, (*above, node))
        return found
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(each, (*path, place), loader, marked, problems, (*above, node))
            for place, each in enumerate(node.value)
        ]
    return loader.construct_object(node)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)
