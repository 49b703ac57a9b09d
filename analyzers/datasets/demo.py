"""The four demo sets: real texts with the mean valence that human raters gave them, from -4 to 4.

Hutto & Gilbert (2014), VADER, ICWSM.
"""

import html
from pathlib import Path

from analyzers.datasets import Dataset, Example, source
from analyzers.errors import DataError
from analyzers.progress import Progress
from analyzers.references import DataReference, one_of

DEMO_SETS = {
    "amazon": "3,708 sentences of Amazon electronics reviews",
    "movie": "10,605 sentences of movie reviews",
    "nyt": "5,190 sentences of New York Times editorials",
    "tweets": "4,200 tweets",
}
LABELS = ("negative", "positive")
CLEAR = 0.5  # a valence nearer to 0 is neither positive nor negative

_FILES = {
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "nyt": "nytEditorialSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
}


def _demo_set(value: str) -> str:
    return one_of(value, DEMO_SETS, "demo:")


@source("demo", form="demo:amazon|movie|nyt|tweets", title="human-rated texts (Hutto & Gilbert 2014)", check=_demo_set)
def read(reference: DataReference, cache: Path, progress: Progress, labelled: bool) -> Dataset:
    """Positive from valence 0.5, negative from -0.5, the rest dropped; without labels every text is kept.

    Raises:
        AssetUnavailable: the archive could not be fetched.
        DataError: the file in the cache is not what it was.
    """
    from analyzers.assets import demo_asset

    path = demo_asset("vader", cache, progress) / _FILES[reference.value]
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            identity, valence, text = line.split("\t", 2)
            label = _label(float(valence))
        except ValueError:
            raise DataError(f"line {number} of {path} is damaged; delete its folder and try again") from None
        text = html.unescape(text).strip()
        group = identity.partition("_")[0]  # 12_3 is the third sentence of review 12
        if not labelled:
            examples.append(Example(text, None, group))
        elif label is not None:
            examples.append(Example(text, label, group))
    return Dataset(tuple(examples), LABELS if labelled else (), reference.text)


def _label(valence: float) -> int | None:
    return None if abs(valence) < CLEAR else int(valence > 0)
