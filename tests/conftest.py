"""Settings of the test processes and their children."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Threads of OpenBLAS wait actively for each other. Where several test processes share the processors, a QR
# decomposition on two threads takes thirty times as long as on one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

CASES_PER_ORDINARY_TEST = {
    "cli/test_cli.py::test_characters_that_the_terminal_cannot_encode_are_escaped": 2,
    "frontend/schema/test_fast_validator.py::test_mutated_documents_get_the_verdict_of_jsonschema": 4,
    "frontend/schema/test_schema.py::test_a_standard_validator_has_the_same_verdict": 3,
    "frontend/schema/test_schema.py::test_the_editor_schema_accepts_what_the_strict_schema_accepts": 3,
    "gradient/test_rnn.py::test_few_inputs_are_concatenated_with_the_state": 3,
    "gradient/test_rnn.py::test_sequences_of_symbolic_length_have_gradients": 3,
    "interop/keras/test_audit.py::test_hostile_layers_cause_no_import_and_no_file_access": 4,
    "layers/test_element_types.py::test_models_of_the_element_types_that_a_layer_takes_can_be_loaded": 10,
    "layers/test_images.py::test_interpolation_works_between_any_permutations": 3,
    "layers/test_layers.py::test_gradients_equal_finite_differences": 4,
    "layers/test_layers.py::test_results_have_the_inferred_shapes_for_any_batch_size": 3,
    "layers/test_long_sequences.py::test_training_with_symbolic_length_equals_fixed_length": 3,
    "layers/test_lookup.py::test_lookups_match_keras": 2,
    "layers/test_masked_recurrence.py::test_gradients_with_a_mask_equal_finite_differences": 3,
    "leak_checks/test_leak_checks.py::test_repeated_work_leaves_nothing_behind": 2,
    "lowering/test_size_limit.py::test_no_layer_has_more_operators_than_estimated": 3,
    "lowering/test_size_limit.py::test_no_layer_has_more_weights_than_estimated": 3,
    "parity/test_library.py::test_outputs_and_losses_equal_those_of_keras": 3,
    "parity/test_recorded.py::test_outputs_and_losses_equal_those_of_keras": 4,
    "passes/training/test_fold_batchnorm_gamma.py::test_steps_compute_the_same": 3,
    "passes/training/test_remat.py::test_rematerialized_steps_give_the_same_losses_and_weights": 3,
    "pipeline/test_training_run.py::test_a_killed_run_can_be_resumed_without_loss": 3,
    "random_models/test_random_models.py::test_every_oracle_holds_for_a_seed": 3,
    "runtime/test_lazy_embeddings.py::test_steps_predictions_and_evaluations_are_those_of_eager_updates": 3,
    "runtime/test_prefetch.py::test_a_fit_equals_its_steps": 3,
    "targets/test_cuda_kernels.py::test_nodes_have_kernels": 10,
    "test_block_samples.py::test_a_large_network_trains_at_a_small_scale": 3,
    "test_deep.py::test_work_is_linear_in_the_number_of_layers": 3,
    "test_samples.py::test_a_sample_reaches_its_bound": 3,
    "training/test_optimizers.py::test_a_rate_factor_equals_an_optimizer_with_the_scaled_rate": 3,
    "tuning/cpu/embeddings/test_lazy_updates.py::test_skipped_updates_of_a_row_are_applied_at_once": 3,
    "tuning/cpu/embeddings/test_scatter_gradient.py::test_steps_compute_the_same": 3,
    "tuning/cpu/nchwc/test_channel_dot.py::test_steps_compute_the_same": 3,
    "tuning/cpu/nchwc/test_conv1d_as_conv2d.py::test_training_steps_are_those_of_the_plain_graph": 3,
    "tuning/cpu/nchwc/test_conv3d_as_conv2d.py::test_training_steps_are_those_of_the_plain_graph": 3,
    "tuning/cpu/nchwc/test_conv_weight_gradient.py::test_results_are_those_of_the_plain_graph": 3,
    "tuning/cpu/nchwc/test_conv_weight_gradient.py::test_steps_compute_the_same": 3,
    "tuning/cpu/nchwc/test_convert.py::test_converted_graphs_compute_the_same_step": 3,
    "tuning/cpu/nchwc/test_convert.py::test_training_steps_are_those_of_the_plain_graph": 3,
    "tuning/cpu/nchwc/test_partial_blocks.py::test_training_steps_are_those_of_the_plain_graph": 3,
    "tuning/cpu/recurrent/test_convert.py::test_products_of_time_steps_are_convolutions": 3,
    "tuning/cpu/recurrent/test_convert.py::test_training_steps_are_those_of_the_plain_graph": 3,
}
"""Tests with many cases that take long together: of this many cases one is run by `make test`, and the others are slow
tests, which `make test-slow` runs."""


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the cases of CASES_PER_ORDINARY_TEST that `make test` leaves to `make test-slow`."""
    counts: Counter[str] = Counter()
    for item in items:
        name = f"{item.path.relative_to(TESTS).as_posix()}::{getattr(item, 'originalname', '')}"
        if name in CASES_PER_ORDINARY_TEST and item.get_closest_marker("slow") is None:
            if counts[name] % CASES_PER_ORDINARY_TEST[name]:
                item.add_marker(pytest.mark.slow)
            counts[name] += 1
