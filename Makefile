# Each target sets up .venv first if something changed; see dev.py.
PYTHON ?= python3

.PHONY: demo test lint docs bench setup
demo test lint docs bench setup:
	@$(PYTHON) dev.py $@
