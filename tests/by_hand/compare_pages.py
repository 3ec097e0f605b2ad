"""Compares the pages of two commits as pictures. Run it with

uv run tests/by_hand/compare_pages.py HEAD~3 HEAD drafts/ more.md

Without files, it takes the drafts of the tests and the Markdown of this project. Each commit
renders them in its own worktree; "." is the working directory. It needs pdftoppm. If pages differ,
the exit code is 1, and their pictures stay, that of the first commit beside that of the second.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOTS = 60  # per inch: enough to see each letter that moves
# What each commit runs in a process of its own: drafts in, a PDF for each out.
SET = """
import pathlib, sys
from beyond import pdf
into, *drafts = map(pathlib.Path, sys.argv[1:])
for number, draft in enumerate(drafts):
    made = pdf.render(draft.read_text(encoding="utf-8"), workflow_id="w")
    (into / f"{number:03} {draft.stem}.pdf").write_bytes(made)
"""


def main() -> int:
    """Print the pages that differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("drafts", nargs="*", type=Path)
    arguments = parser.parse_args()
    given = arguments.drafts or [ROOT / "tests", ROOT / "docs", *ROOT.glob("*.md")]
    drafts = sorted({path.resolve() for one in given for path in find_drafts(one)})
    folder = Path(tempfile.mkdtemp(prefix="pages-"))
    pages = [make_pages(commit, drafts, folder) for commit in (arguments.before, arguments.after)]
    different = 0
    for name in sorted({*pages[0], *pages[1]}):
        pictures = [side.get(name) for side in pages]
        if pictures[0] and pictures[1] and pictures[0].read_bytes() == pictures[1].read_bytes():
            pictures[0].unlink()
            pictures[1].unlink()
            continue
        different += 1
        print(name, *(picture or "no page" for picture in pictures), sep="\n    ")
    print(f"{different} of {len(pages[0])} pages of {len(drafts)} drafts differ")
    return int(different > 0)


def find_drafts(path: Path) -> Iterator[Path]:
    """The Markdown files in a folder, or the one file."""
    return path.rglob("*.md") if path.is_dir() else iter([path])


def make_pages(commit: str, drafts: list[Path], folder: Path) -> dict[str, Path]:
    """Render the drafts with a commit. Returns the picture of each page by its name."""
    into = Path(tempfile.mkdtemp(prefix=f"{commit.replace('/', '-')}-", dir=folder))
    with check_out(commit) as tree:
        subprocess.run([sys.executable, "-c", SET, into, *drafts], cwd=tree, check=True)
    for made in into.glob("*.pdf"):
        goal = made.with_suffix("")
        subprocess.run(["pdftoppm", "-r", str(DOTS), "-png", made, goal], check=True)
    return {picture.name: picture for picture in into.glob("*.png")}


@contextmanager
def check_out(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    if commit == ".":
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)


if __name__ == "__main__":
    sys.exit(main())
