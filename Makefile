# `make help` lists what there is. Each target installs what it needs and does nothing twice.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tweetmodel
export PATH := $(CURDIR)/.venv/bin:$(CACHE)/bin:$(PATH)
export CLUSTER ?= tweetmodel
CLUSTER_DIR := tests/cluster
UV := $(shell command -v uv || echo $(CACHE)/bin/uv)

##@ Use
.PHONY: help
help: ## Lists the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(UV) ## Installs the Python environment (and uv where it is missing)
	@$(UV) sync --locked --quiet

.PHONY: demo
demo: install ## Brings up a cluster, installs the operator, trains the quickstart and prints its tweets
	@python examples/demo.py

.PHONY: demo-down
demo-down: ## Removes the demo's cluster and registry
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
lint: setup ## Style, types, import contracts, and that generated files are up to date
	@ruff check . && ruff format --check --quiet .
	@mypy -p tweetmodel_api -p tweetmodel_operator -p tweetmodel_trainer
	@lint-imports --no-cache >/dev/null || lint-imports --no-cache
	@python tests/regenerate.py --check

.PHONY: unit
unit: setup tools ## Run the unit tests
	@pytest -q -rs -n auto tests/unit

.PHONY: component-tests
component-tests: setup tools ## Run the component tests, which start HTTP servers and processes
	@pytest -q -rs -n auto tests/component

.PHONY: cluster-tests
cluster-tests: install ## The suite in a real cluster
	@pytest -q tests/cluster --ignore tests/cluster/faults --ignore tests/cluster/kueue

.PHONY: test-faults
test-faults: install ## Crashes, outages, stale views and strange specs, played between the operator and a real API server
	@pytest -q -n 6 --dist worksteal tests/cluster/faults

.PHONY: test-kueue
test-kueue: install ## Queues of Kueue itself, which is built for it: not a part of `test`
	@$(CLUSTER_DIR)/kueue/with-kueue pytest -q $(CLUSTER_DIR)/kueue

.PHONY: generate
generate: setup ## Writes the CRD, the chart's copy of it, golden files and the troubleshooting page
	@python tests/regenerate.py

.PHONY: bench-trainer
bench-trainer: setup ## Times the quickstart beside the stock recipe, in one run
	@PYTHONPATH=examples/archive python tests/bench/trainer.py

.PHONY: bench-collect
bench-collect: setup ## Times cleaning and splitting, and tells their memory, with ten million posts
	@PYTHONPATH=examples/archive python tests/bench/collect.py 10000000

.PHONY: bench-operator
bench-operator: export CLUSTER = tweetmodel-bench
bench-operator: export KUBECONFIG = $(CURDIR)/build/bench-kubeconfig
bench-operator: setup ## Times the operator and tells its memory with ten thousand TweetModels, in a cluster of its own
	@mkdir -p build && $(CLUSTER_DIR)/kind/cluster up && kubectl apply --server-side -f crds/ >/dev/null
	@PYTHONPATH=tests:tests/cluster python tests/bench/operator_bench.py; code=$$?; kind delete cluster -q --name $$CLUSTER; exit $$code

##@ Parts
.PHONY: tools
tools: ## Installs kind, helm, kubectl and Chromium where they are missing
	@$(CLUSTER_DIR)/kind/cluster tools
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	  (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium) >/dev/null 2>&1 || \
	  echo "Chromium is missing and can't be installed: tests of the page in a browser are skipped"

.PHONY: cluster
cluster: setup ## Brings up the kind cluster and its registry
	@$(CLUSTER_DIR)/kind/cluster up

.PHONY: images
images: cluster ## Builds both images and pushes them to the cluster's registry
	@$(CLUSTER_DIR)/images

.PHONY: install
install: cluster ## Installs the operator with Helm, and an S3 server for demo and tests
	@$(CLUSTER_DIR)/install

$(CACHE)/bin/uv:
	@mkdir -p $(CACHE)/bin
	@python3 -m venv $(CACHE)/uv 2>/dev/null || (apt-get update -q && apt-get install -qy python3-venv && python3 -m venv $(CACHE)/uv) >/dev/null
	@$(CACHE)/uv/bin/pip install --quiet uv && ln -sf $(CACHE)/uv/bin/uv $@
