"""The public names: those that the pages of the API list (`test_api_pages` says that they list all)."""

from __future__ import annotations

import re
from pathlib import Path

API = Path(__file__).parents[1] / "docs" / "api"
LISTED = {
    name for page in API.glob("*.md") for name in re.findall(r"^   ~([\w.]+)$", page.read_text("utf-8"), re.MULTILINE)
}
