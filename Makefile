.PHONY: check test pictures

check:  # what a change must pass
	bash .ci/run

test:
	uv run pytest

pictures:  # of README and docs; needs tmux, chromium and pdftoppm
	uv run --with playwright docs/take_pictures.py
