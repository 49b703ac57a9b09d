"""What a run came from and what came from it."""

from collections.abc import Callable

from analyzers.records import Record

Related = Callable[[str], list[str]]


class Lineage(Record):
    """The relatives of a run, found by the parents that records name. A parent may have been deleted since."""

    run: str
    parents: list[str]
    children: list[str]
    above: list[str]  # all that it came from, the nearest first
    below: list[str]  # all that came from it, the nearest first
    links: dict[str, list[str]]  # of the run and all its relatives: what was made from each, directly

    def roots(self) -> list[str]:
        """Where the tree begins: those that came from nothing that is known."""
        made = {child for children in self.links.values() for child in children}
        return [each for each in [*reversed(self.above), self.run] if each not in made] or [self.run]


def lineage(run_id: str, parents: Related, children: Related) -> Lineage:
    """Follow the parents up and the children down; a run that is its own ancestor, edited by hand, ends there."""
    above, below = _all(run_id, parents), _all(run_id, children)
    links: dict[str, list[str]] = {each: [] for each in [*reversed(above), run_id, *below]}
    for each in links:
        for parent in parents(each):
            if parent in links:
                links[parent].append(each)
    return Lineage(
        run=run_id, parents=parents(run_id), children=children(run_id), above=above, below=below, links=links
    )


def _all(run_id: str, related: Related) -> list[str]:
    found: dict[str, None] = {}
    front = [run_id]
    while front:
        front = [each for one in front for each in related(one) if each not in found and each != run_id]
        found |= dict.fromkeys(front)
        front = list(dict.fromkeys(front))
    return list(found)
