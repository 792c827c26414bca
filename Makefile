# The two commands: make demo, make test. Everything lives in .venv; delete it to begin again.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out/demo

.PHONY: demo test lab app web voila slides handout teaching lint bench clean \
        docs badges dist check-dist check-tag check-install test-wheel

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

app: .venv/done  ## the playground: the race in the browser itself, without a server
	$(BIN)/pfa-edu app

web:  ## builds the playground's page into pfa_edu/web from web/; needs node 18 or later and npm
	cd web && npm ci --silent && npm run --silent check && npm run --silent build

# voila.json there ends a kernel five minutes after its page was closed, and waits for a busy machine's pictures.
voila: .venv/done  ## lesson 4's race as a page without code cells, trained by torch on this machine
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

docs: .venv/done  ## the documentation: out/docs/index.html, which needs no server and no network
	$(BIN)/python docs/build.py

badges: .venv/done  ## the README's badges, from [project.urls] in pyproject.toml
	$(BIN)/python docs/links.py

dist: .venv/done  ## wheel and sdist, in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

check-dist: .venv/done  ## what is in them, and whether their description can be read
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

check-tag: .venv/done  ## TAG=v1.2.3 is the version that would be published
	test "$(TAG)" = "v$$($(BIN)/python -m hatchling version)"

check-install:  ## the wheel of dist/ in an empty environment runs the first command of the README
	PYTHON=$(PYTHON) .ci/install

test-wheel:  ## the quick tests against the wheel of dist/; TORCH=pinned, lowest or newest
	PYTHON=$(PYTHON) .ci/test-wheel $(TORCH)

clean:
	rm -rf .venv out runs artifacts
