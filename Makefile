# Two commands are enough: `make demo` shows the main job on the embedded lab, `make test` passes every test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check browser picture lock clean

demo: .venv/run
	@exec $(BIN)/opdeploy demo

test: .venv/dev browser
	$(BIN)/ruff check deploy tests roles tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2

# The same without what takes long: for the seconds between two edits.
check: .venv/dev
	$(BIN)/ruff check deploy tests roles tools
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 -m 'not slow'

# What the tests of the HTML reports drive. Where it can't be installed they are skipped, and say so.
APT := timeout 300 env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20
browser:
	@test -x /usr/bin/chromium || { test "$$(id -u)" = 0 && $(APT) update && $(APT) install -y chromium; } >/dev/null 2>&1 || \
		echo "no /usr/bin/chromium, and it can't be installed here: the tests of HTML reports are skipped"

.venv/run: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# The README's pictures, recorded from the real command.
picture: .venv/dev browser
	$(BIN)/python tools/record_plan.py
	$(BIN)/python tools/record_report.py

# For whoever changes a dependency: needs pip-tools.
LOCK := CUSTOM_COMPILE_COMMAND='make lock' pip-compile -q --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra build
lock:
	$(LOCK) -o requirements.lock pyproject.toml
	$(LOCK) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
