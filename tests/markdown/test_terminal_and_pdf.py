"""Terminal and PDF show the same words, and no draft breaks either."""

import io
import re
import unicodedata
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from rich.console import Console

from beyond import markdown as drafts
from beyond import pdf
from beyond.terminal.markdown import set_markdown

BOTH = """\
# 🚀 Title with `code`

Water is H<sub>2</sub>O ✅, 🎉 and Vec<T>. See[^1] $x$5 or [text](https://x.org), https://y.org.
**Author:** Jane
**Date:** today

- [x] done
- [ ] open
  1. nested **bold**

> [!TIP]
> quoted

| Left | Right |
|:-----|------:|
| ⏳ | 🇩🇪 1 |

<details>
<summary>More</summary>

hidden ~~text~~

</details>

```python
print("✅")
```

[^1]: The note.
"""


def words(text: str) -> list[str]:
    """The words of a text without punctuation, and the signs that replace emoji."""
    return re.findall(r"[^\W_]+|[✔☑☐⌛★]", unicodedata.normalize("NFKC", text))


def on_screen(markdown: str) -> str:
    """What a terminal shows of a draft."""
    printed = io.StringIO()
    Console(file=printed, width=90, height=999).print(set_markdown(markdown))
    return printed.getvalue()


def test_terminal_and_pdf_show_the_same_words() -> None:
    pages = PdfReader(io.BytesIO(pdf.render(BOTH))).pages
    text = " ".join(page.extract_text() for page in pages)
    text = re.sub(r"^Research Report|\d+ /\s*\d+$", "", text.strip())
    shown = re.sub(r"\(https://x.org\)", "", on_screen(BOTH))  # only the terminal prints addresses
    assert "".join(words(text)).replace("1.", "1") == "".join(words(shown)).replace("1.", "1")


def test_entities_never_reorder_or_redraw_the_terminal() -> None:
    draft = "a&#x202e;b [c](x&#x202e;y)\n\n<pre>d&#x202e;&#27;[2J</pre>\n\n`e`"
    shown = on_screen(draft)
    assert not re.search("[\x1b\u202e]", shown)
    assert "".join(words(shown)) == "abcxE280AEyd2Je"


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text("#>-*_`~[]()!|<b/>&;:1. \t\n\\aé$🚀✅^0"))
def test_tokens_of_any_text_are_balanced(draft: str) -> None:
    read = drafts.read(draft)
    depth = 0
    for token in read.tokens:
        depth += token.nesting
        assert depth >= 0
    assert depth == 0
    for before, after in pairwise(read.tokens):
        assert before.type != "paragraph_open" or after.type == "inline"
