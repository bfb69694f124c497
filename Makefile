# demo · test · test-types · test-slow · lint · bench: each prepares .venv by itself.
#
# torch is installed apart from the rest: a torch that is already in .venv is kept, so
# that you can choose a CUDA or a CPU build (README.md, "Which torch").

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch==2.13.0
PY := .venv/bin/python
BUILD := build
PACKAGES := cohort dosimetry phantom eval kinetics

# Two processes share the cores; one thread each keeps them out of each other's way, and by file
# what a module's tests share is made once.
TEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile -q

.PHONY: demo test test-types test-slow lint bench weights performance clean

.venv/ready: requirements.txt constraints.txt $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python must be 3.11 or later, got $$($(PYTHON) --version). Set PYTHON=…" >&2; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -c 'import torch' 2>/dev/null || $(PY) -m pip install --quiet $(TORCH)
	$(PY) -m pip install --quiet --requirement requirements.txt --constraint constraints.txt
	touch $@

demo: .venv/ready
	rm -rf $(BUILD)/demo && mkdir -p $(BUILD)/demo
	$(PY) -m rpt_phantom cohort --patients 1 --seed 7 --out $(BUILD)/demo/cohort
	$(PY) -W ignore::UserWarning -m monai.bundle run --bundle_root bundle \
	  --config_file bundle/configs/inference.yaml --dataset_dir $(BUILD)/demo/cohort \
	  --output_dir $(BUILD)/demo/prediction
	$(PY) -m rpt_eval picture --cohort $(BUILD)/demo/cohort --pred $(BUILD)/demo/prediction \
	  --out $(BUILD)/demo/demo.png
	@echo "The picture: $(BUILD)/demo/demo.png (a virtual patient)"

test: .venv/ready
	$(TEST) -m "not slow"

# The same with the shapes of arrays and the types of all arguments checked at every call: it
# takes twice as long to begin.
test-types: .venv/ready
	$(TEST) -m "not slow" \
	  --jaxtyping-packages=rpt_cohort,rpt_dosimetry,rpt_eval,rpt_phantom,typecheck.checked

test-slow: .venv/ready
	$(TEST) -m slow

lint: .venv/ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(PACKAGES) benchmarks
	$(PY) -m mypy bundle/scripts
	PYTHONPATH=bundle .venv/bin/lint-imports

bench: .venv/ready
	$(PY) benchmarks/inference.py
	$(PY) benchmarks/training.py
	$(PY) benchmarks/eval.py
	$(PY) benchmarks/kinetics.py
	$(PY) benchmarks/dose.py
	$(PY) benchmarks/curves.py
	$(PY) benchmarks/kernels.py
	$(PY) benchmarks/clinic.py
	$(PY) benchmarks/phantom.py

# The cohort of the shipped weights, virtual: three quarters of an hour on 2 cores.
COHORT := $(BUILD)/weights/cohort
$(COHORT)/cohort.json: .venv/ready
	mkdir -p $(BUILD)/weights
	$(PY) -m rpt_phantom cohort --patients 340 --test-patients 40 --preset first --folds 15 \
	  --seed 0 --out $(COHORT)

# How bundle/models/model.pt was made: three quarters of an hour on 2 cores that know bfloat16; a
# run that was killed goes on.
TRAINING := $(BUILD)/weights/training
weights: $(COHORT)/cohort.json
	$(PY) -m monai.bundle run training --config_file bundle/configs/train.yaml \
	  --bundle_root bundle --dataset_dir $(COHORT) --ckpt_dir $(TRAINING) \
	  --amp True --adversarial_weight 0 --max_epochs 55 --val_interval 30 --warmup_epochs 1 \
	  $(if $(wildcard $(TRAINING)/checkpoint.pt),--resume_from $(TRAINING)/checkpoint.pt)
	cp $(TRAINING)/model.pt $(TRAINING)/model.json $(TRAINING)/curves.csv bundle/models/

# The tables of bundle/docs/README.md and eval/README.md: the shipped weights and the controls.
COMPARED := organ_optimum_blurred organ_optimum organ_guided_blurred organ_guided voxel_trees \
  pet_factor population_mean all_zero
performance: $(COHORT)/cohort.json
	rm -rf $(BUILD)/performance && mkdir -p $(BUILD)/performance
	$(PY) -W ignore::UserWarning -m monai.bundle run --bundle_root bundle \
	  --config_file bundle/configs/inference.yaml --dataset_dir $(COHORT) \
	  --output_dir $(BUILD)/performance/dosegan
	$(PY) -m rpt_eval baseline --cohort $(COHORT) --out $(BUILD)/performance/baselines
	OMP_NUM_THREADS=1 $(PY) benchmarks/voxel_trees.py $(COHORT) \
	  $(BUILD)/performance/baselines/organ_guided_blurred $(BUILD)/performance/baselines/voxel_trees
	for against in measured truth; do \
	  $(PY) -m rpt_eval compare --cohort $(COHORT) --split testing --against $$against \
	    --pred dosegan=$(BUILD)/performance/dosegan \
	    $(foreach name,$(COMPARED),--pred $(name)=$(BUILD)/performance/baselines/$(name)) \
	    --out $(BUILD)/performance/$$against || exit; \
	done
	$(PY) benchmarks/performance.py $(BUILD)/performance/measured $(BUILD)/performance/truth

clean:
	rm -rf $(BUILD) .venv
