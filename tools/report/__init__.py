"""Runs as one file that needs nothing else: a page with charts, the same as PDF, Markdown with pictures, or JSON.

runs --document, comparing--> Document --page, markdown, file--> one file
"""

from tools.report.content import Language, Narrative
from tools.report.document import document
from tools.report.writing import SUFFIXES, Narrator, report, write

__all__ = ["SUFFIXES", "Language", "Narrative", "Narrator", "document", "report", "write"]
