"""Set drafts and hand them to veraPDF, the reference validator: uv run docs/check_accessibility.py

It takes Markdown files; without any, README.md and CHANGELOG.md. It needs Java and Maven, which
fetches `org.verapdf:validation-model`. Exit code 0 if all comply with PDF/UA-1 and PDF/A-2a.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from beyond import pdf  # noqa: E402

HERE = Path(__file__).parent / "verapdf"


def main() -> int:
    """Print what veraPDF says."""
    drafts = [Path(name) for name in sys.argv[1:]] or [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    cache = Path.home() / ".cache" / "durable-research-reports" / "verapdf"
    pom = str(HERE / "pom.xml")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={cache}"]
    subprocess.run(["mvn", "-q", "-f", pom, *goal], check=True)
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for number, draft in enumerate(drafts):
            made.append(Path(folder) / f"{number}-{draft.stem}.pdf")
            made[-1].write_bytes(pdf.render(draft.read_text(encoding="utf-8"), topic=draft.stem))
        command = ["java", "-cp", f"{cache}/*", str(HERE / "Check.java")]
        done = [subprocess.run([*command, profile, *made]) for profile in ("ua1", "2a")]
    return max(process.returncode for process in done)


if __name__ == "__main__":
    sys.exit(main())
