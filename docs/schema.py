"""Write the schema of JSON reports: python docs/schema.py"""

import json
from pathlib import Path

from tools.report.file import schema

FILE = Path(__file__).with_name("report.schema.json")

if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
