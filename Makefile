# The two commands: make demo, make test. Everything lives in .venv; delete it to begin again.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out/demo

.PHONY: demo test lab app slides handout teaching lint bench clean

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: .venv/done  ## all seven rules on 5,000 digits, no download: notebook, page, figures, table
	$(BIN)/pfa-edu reproduce mnist --scale classroom --jobs 2 --out $(OUT)

test: .venv/done  ## the whole test suite: two files at a time, a core each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lab: .venv/done  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks

# voila.json there ends a kernel five minutes after its page was closed, and waits for a busy machine's pictures.
app: .venv/done  ## the race as a page of its own, without code cells
	cd notebooks/app && ../../$(BIN)/voila race.ipynb

slides: .venv/done  ## the lessons as slides that need no network: out/slides/index.html; LESSONS="transport race" for some
	$(BIN)/pfa-edu lessons out/slides --slides $(LESSONS) --force

handout: .venv/done  ## the symbols on one page: teaching/handout.pdf
	rm -f teaching/handout.pdf
	$(BIN)/pfa-edu lessons teaching --handout

teaching: .venv/done  ## the lessons for a class: out/student without solutions, out/instructor with them
	$(BIN)/pfa-edu lessons out/student --student --force
	$(BIN)/pfa-edu lessons out/instructor --instructor --force

lint: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/done
	$(BIN)/pfa-edu bench

clean:
	rm -rf .venv out runs artifacts
