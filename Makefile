# `make help` lists the targets. Each target installs the tools it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tweetmodel
export PATH := $(CURDIR)/.venv/bin:$(CACHE)/bin:$(PATH)
export CLUSTER ?= tweetmodel
CLUSTER_DIR := tests/cluster
UV := $(shell command -v uv || echo $(CACHE)/bin/uv)
VALE := $(shell command -v vale || echo $(CACHE)/bin/vale)
PAGES = README.md CONTRIBUTING.md CHANGELOG.md $(shell find docs examples -name '*.md')
PROSE = README.md CONTRIBUTING.md CHANGELOG.md docs examples charts/tweetmodel-operator/values.yaml \
  charts/tweetmodel-operator/templates/NOTES.txt
PROSE_OF_CODE = crds operator hack examples trainer-image

##@ Use
.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(UV) ## Install the Python environment, and uv if missing
	@$(UV) sync --locked --quiet

.PHONY: demo
demo: install ## Create a cluster, install the operator, train the quickstart and print its tweets
	@python examples/demo.py

.PHONY: demo-down
demo-down: ## Remove the cluster and the registry
	@$(CLUSTER_DIR)/kind/cluster down

##@ Develop
.PHONY: test
test: ## Run lint, unit and component tests and both cluster suites, also after a failure, and list the results
	@results=; status=0; \
	for suite in lint unit component-tests cluster-tests test-faults; do \
	  echo "==> make $$suite"; SECONDS=0; result=passed; \
	  $(MAKE) --no-print-directory $$suite || { result=FAILED; status=1; }; \
	  results+=$$(printf '  %-16s %-6s %5d s' $$suite $$result $$SECONDS)$$'\n'; \
	done; \
	printf '==> Results\n%s' "$$results"; exit $$status

.PHONY: lint
lint: setup prose ## Check style, types, import contracts, complexity, prose, links and generated files
	@ruff check . && ruff format --check --quiet .
	@complexipy --failed --plain
	@mypy -p tweetmodel_api -p tweetmodel_operator -p tweetmodel_trainer
	@lint-imports --no-cache >/dev/null || lint-imports --no-cache
	@python hack/generate.py --check
	@python hack/check_links.py $(PAGES)

.PHONY: prose
prose: setup $(VALE) ## Check the prose of pages, comments and docstrings
	@$(VALE) --output line $(PROSE)
	@rm -rf build/prose && python hack/comments.py build/prose $(PROSE_OF_CODE)
	@set -o pipefail; cd build/prose && $(VALE) --config $(CURDIR)/.vale.ini --output line . | sed 's/\.py\.md:/.py:/'

.PHONY: unit
unit: setup ## Run the unit tests
	@pytest -q -rs -n auto tests/unit

.PHONY: component-tests
component-tests: setup tools ## Run the component tests, which start HTTP servers and processes
	@pytest -q -rs -n auto tests/component

.PHONY: cluster-tests
cluster-tests: install ## Run the suite in a real cluster
	@pytest -q tests/cluster --ignore tests/cluster/faults --ignore tests/cluster/kueue

.PHONY: test-faults
test-faults: install ## Test crashes, outages, stale lists and unusual specs, with a real API server
	@pytest -q -n 6 --dist worksteal tests/cluster/faults

.PHONY: soak
soak: ## Repeat the cluster suite RUNS times (20), beside BUSY busy processes (0)
	@$(CLUSTER_DIR)/soak $(or $(RUNS),20) $(or $(BUSY),0)

.PHONY: test-kueue
test-kueue: install ## Test queues of Kueue, which is built first; not part of `test`
	@$(CLUSTER_DIR)/kueue/with-kueue pytest -q $(CLUSTER_DIR)/kueue

.PHONY: generate
generate: setup ## Write CRDs, the chart's copies, golden files and generated pages
	@python hack/generate.py

.PHONY: bench-trainer
bench-trainer: setup ## Measure the quickstart and the stock recipe in one run
	@PYTHONPATH=tests:examples/archive python tests/bench/trainer.py

.PHONY: bench-collect
bench-collect: setup ## Measure time and memory of cleaning and splitting ten million posts
	@PYTHONPATH=examples/archive python tests/bench/collect.py 10000000

.PHONY: bench-operator
bench-operator: export CLUSTER = tweetmodel-bench
bench-operator: export KUBECONFIG = $(CURDIR)/build/bench-kubeconfig
bench-operator: setup ## Measure the operator with ten thousand TweetModels, in a separate cluster
	@mkdir -p build && $(CLUSTER_DIR)/kind/cluster up && kubectl apply --server-side -f crds/ >/dev/null
	@PYTHONPATH=tests:tests/cluster python tests/bench/operator_bench.py; code=$$?; kind delete cluster -q --name $$CLUSTER; exit $$code

##@ Measurements on a GPU
# Packages beside PyTorch that a usual image for machine learning lacks, and our version of transformers.
GPU_PACKAGES := annotated-types|blinker|boto3|botocore|cffi|cryptography|flask|flask-cors|itsdangerous|jmespath|moto|$\
  oauthlib|pycparser|pydantic|pydantic-core|requests-oauthlib|responses|s3transfer|transformers|tweepy|$\
  typing-inspection|xmltodict
GPU_PLATFORMS := $(foreach tag,manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014,--platform $(tag)_x86_64)
GPU_MAX_MIB := 56

.PHONY: gpu-wheels
gpu-wheels: setup ## Collect wheels in .whl for a machine with a GPU and without a network
	@rm -rf .whl && $(UV) build -q --wheel -o .whl crds && $(UV) build -q --wheel -o .whl trainer-image
	@$(UV) export -q --locked --no-hashes --no-annotate | grep -E '^($(GPU_PACKAGES))==' | \
	  $(UV) tool run -q pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
	    $(GPU_PLATFORMS) -d .whl -r /dev/stdin
	@size=$$(du -sm .whl | cut -f1); echo "$$(ls .whl | wc -l) files, $$size MiB"; test $$size -le $(GPU_MAX_MIB)

.PHONY: gpu-dry
gpu-dry: export PYTHONPATH = tests:examples/archive
gpu-dry: setup ## Try the measurements with tiny models on a CPU
	@python tests/gpu/measure.py --dry --out build

##@ Parts
.PHONY: tools
tools: ## Install missing tools: kind, helm, kubectl and Chromium
	@$(CLUSTER_DIR)/kind/cluster tools
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	  (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium) >/dev/null 2>&1 || \
	  echo "Chromium is missing and can't be installed: tests of the page in a browser are skipped"

.PHONY: cluster
cluster: setup ## Create the kind cluster and its registry
	@$(CLUSTER_DIR)/kind/cluster up

.PHONY: images
images: cluster ## Build both images and push them to the cluster's registry
	@$(CLUSTER_DIR)/images

.PHONY: install
install: cluster ## Install the operator with Helm, and an S3 server for demo and tests
	@$(CLUSTER_DIR)/install

$(CACHE)/bin/uv:
	@mkdir -p $(CACHE)/bin
	@python3 -m venv $(CACHE)/uv 2>/dev/null || (apt-get update -q && apt-get install -qy python3-venv && python3 -m venv $(CACHE)/uv) >/dev/null
	@$(CACHE)/uv/bin/pip install --quiet uv && ln -sf $(CACHE)/uv/bin/uv $@

$(CACHE)/bin/vale:
	@mkdir -p $(@D)
	@command -v c++ >/dev/null || (apt-get update -q && apt-get install -qy --no-install-recommends g++) >/dev/null || \
	  (echo "Vale needs a C++ compiler: install g++" && false)
	@echo "==> building Vale" && GOBIN=$(@D) CGO_ENABLED=1 CGO_CFLAGS=-w CGO_CXXFLAGS=-w \
	  go install -ldflags '-s -w' github.com/vale-cli/vale/v3/cmd/vale@v3.22.0
