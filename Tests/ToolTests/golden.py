"""Where the tests of tools/ find those tools and the golden steps."""
import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
TOOLS = TESTS.parent / "tools"
sys.path.insert(0, str(TOOLS))

SHARED = pathlib.Path(os.environ.get("TAMRING_SHARED") or TESTS.parent.parent / "shared")


def steps():
    """The folders of golden steps."""
    return [folder for name in ("golden", "golden-relatives") for folder in sorted((SHARED / name).glob("*/"))]
