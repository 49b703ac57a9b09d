"""Amazon Reviews 2023 (Hou et al. 2024), one category of products at a time."""

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analyzers.datasets import Dataset, Example, source
from analyzers.errors import AssetUnavailable, DataError, StorageError
from analyzers.progress import Progress
from analyzers.references import DataReference, one_of

REVIEWS = 20_000  # read from the beginning of the file of a category, which may hold 30 million
LABELS = ("negative", "positive")
CATEGORIES = (
    "All_Beauty",
    "Amazon_Fashion",
    "Appliances",
    "Arts_Crafts_and_Sewing",
    "Automotive",
    "Baby_Products",
    "Beauty_and_Personal_Care",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Gift_Cards",
    "Grocery_and_Gourmet_Food",
    "Handmade_Products",
    "Health_and_Household",
    "Health_and_Personal_Care",
    "Home_and_Kitchen",
    "Industrial_and_Scientific",
    "Kindle_Store",
    "Magazine_Subscriptions",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Software",
    "Sports_and_Outdoors",
    "Subscription_Boxes",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
    "Unknown",
)

_REPOSITORY = "datasets/McAuley-Lab/Amazon-Reviews-2023"


def _category(value: str) -> str:
    return one_of(value, CATEGORIES, "amazon:")


@source("amazon", form="amazon:CATEGORY", title="Amazon Reviews 2023, the first 20,000 of a category", check=_category)
def read(reference: DataReference, cache: Path, progress: Progress, labelled: bool) -> Dataset:
    """One or two stars are negative, four or five positive, three are left out; all kept without labels.

    Raises:
        AssetUnavailable: the hub is not in reach and the file not in the cache.
        DataError: a line of the file is damaged.
        StorageError: the disk is full.
    """
    path = cache / "amazon" / f"{reference.value}.jsonl"
    if not path.is_file():
        _download(reference.value, path, progress)
    with path.open(encoding="utf-8") as lines:
        examples = tuple(_examples(itertools.islice(lines, REVIEWS), path, labelled))
    progress.say(f"{reference.text}: {len(examples):,} reviews")
    return Dataset(examples, LABELS if labelled else (), reference.text)


def _examples(lines: Iterator[str], path: Path, labelled: bool) -> Iterator[Example]:
    for number, line in enumerate(lines, start=1):
        try:
            review = json.loads(line)
            title, body, stars = str(review.get("title") or ""), str(review["text"] or ""), float(review["rating"])
            group = f"{review['user_id']} {review['parent_asin']}"
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"line {number} of {path} is no review; delete the file and try again") from None
        text = "\n".join(part.strip() for part in (title, body) if part.strip())
        text = text.replace("<br />", " ").encode("utf-8", "replace").decode()
        if not text or (labelled and stars == 3):
            continue
        yield Example(text, int(stars > 3) if labelled else None, group)


def _download(category: str, path: Path, progress: Progress) -> None:
    """Keep the first reviews of the category in the cache: whole, or not at all."""
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library the hub uses

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            partial = Path(folder) / path.name
            with partial.open("wb") as file:
                for line in progress.track(_lines(HfFileSystem(), category), REVIEWS, f"downloading {category}"):
                    file.write(line)
            partial.replace(path)
    except (HTTPError, ConnectionError, FileNotFoundError, TimeoutError) as error:
        raise AssetUnavailable(
            f"the hub is not in reach for amazon:{category}; fetch raw/review_categories/{category}.jsonl of "
            f"McAuley-Lab/Amazon-Reviews-2023 elsewhere and put it at {path}"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}; free some space and try again") from error


def _lines(hub: Any, category: str) -> Iterator[bytes]:
    with hub.open(f"{_REPOSITORY}/raw/review_categories/{category}.jsonl", "rb", block_size=2**22) as file:
        yield from itertools.islice(file, REVIEWS)
