"""The kinds of hostile input, by section, with what checks each besides the cases of `cases.py`.

The exit status is 1 where the input is wrong and 2 where a file, the usage or the environment is.
"""

from __future__ import annotations

from typing import NamedTuple

SECTIONS = {"A": 20, "B": 33, "C": 14, "D": 14, "J": 10}
"""Numbers of rows: the text of a spec, its meaning, resources, paths and outputs, the environment."""


class Row(NamedTuple):
    """A kind of input, what it gets, and the tests and documents that check it, as paths in `tests`."""

    input: str
    outcome: str
    checked_by: tuple[str, ...] = ()


def _documents(*names: str) -> tuple[str, ...]:
    return tuple(f"diagnostics/{name}.json" for name in names)


READER = "frontend/test_json_reader.py"
CLI = "cli/test_cli.py"

ROWS = {
    # -- A: the text of a spec -------------------------------------------------------------------------------------
    "A1": Row("an empty file, only spaces", "empty-document"),
    "A2": Row("a text cut at any offset", "an error at or before the cut",
              (f"{READER}::test_a_truncated_text_is_rejected_at_or_before_the_cut",)),
    "A3": Row("text after the document, two documents", "the position of the further token"),
    "A4": Row("habits of other languages", "the position, with the name of the habit"),
    "A5": Row("a key twice", "an error at the second, a note about the first",
              (f"{READER}::test_the_note_of_a_duplicate_key_points_to_the_first_key",)),
    "A6": Row("a key twice, once with an escape", "as A5"),
    "A7": Row("NaN, Infinity", "an error at the token"),
    "A8": Row("a number that overflows or underflows", "an error at the token"),
    "A9": Row("an integer of many digits", "out of range, at once", (f"{READER}::test_limits_are_exact",)),
    "A10": Row("a fraction of many digits, 1E300 as an integer", "read, or out of range"),
    "A11": Row("deep nesting", "too-deep at the 33rd bracket"),
    "A12": Row("a large file, many values", "too-large, a file before it is read",
               (f"{READER}::test_a_file_above_the_size_limit_is_not_read",)),
    "A13": Row("invalid UTF-8", "the byte offset, line and column"),
    "A14": Row("a byte order mark, UTF-16, UTF-32", "the mark of UTF-8 is accepted, the others are refused by name"),
    "A15": Row("a lone surrogate", "an error at the escape"),
    "A16": Row("invisible characters in names", "refused by the pattern of names, shown escaped"),
    "A17": Row("other ends of lines", "lines as in editors"),
    "A18": Row("the grammar of JSON at its edges", "as the standard library reads it, or an error",
               (f"{READER}::test_an_invalid_text_is_rejected_at_the_position_of_the_error",
                f"{READER}::test_mutated_texts_are_read_as_by_the_standard_library_or_rejected")),
    "A19": Row("no regular file", "unreadable-file, without waiting",
               (f"{READER}::test_an_unreadable_file_is_rejected_without_waiting",)),
    "A20": Row("a file that changes while it is read", "unreadable-file",
               (f"{READER}::test_a_file_that_changes_during_reading_is_rejected",)),
    # -- B: meaning ------------------------------------------------------------------------------------------------
    "B1": Row("the document is no object", "expected an object", _documents("top_level_array", "top_level_number")),
    "B2": Row("an unknown type", "at the type, with a suggestion", _documents("unknown_type")),
    "B3": Row("an unknown key", "at the key, with a suggestion", _documents("unknown_key")),
    "B4": Row("a missing key", "at the layer, with the key", _documents("missing_key")),
    "B5": Row("a value of a wrong type", "true is no integer, 1.0 is one", _documents("wrong_type")),
    "B6": Row("units out of range", "out-of-range", _documents("units_out_of_range")),
    "B7": Row("kernel, strides, dilation or groups of 0", "out-of-range", _documents("window_out_of_range")),
    "B8": Row("a kernel larger than the image", "the arithmetic", _documents("kernel_larger_than_input")),
    "B9": Row("groups that do not divide", "both numbers", _documents("groups_do_not_divide", "filters_do_not_divide")),
    "B10": Row("a reshape that does not fit", "both shapes", _documents("reshape")),
    "B11": Row("axes out of range or twice", "the valid range", _documents("axis_out_of_range")),
    "B12": Row("merged shapes that differ", "both layers", _documents("merge_mismatch", "concatenate_mismatch")),
    "B13": Row("a wrong rank", "both ranks, and what made the input", _documents("rank_mismatch")),
    "B14": Row("a cycle", "the whole cycle", _documents("cycle", "self_loop")),
    "B15": Row("a name twice", "both places", _documents("duplicate_names")),
    "B16": Row("dangling references, unused layers", "errors",
               _documents("dangling_reference", "unused_layer", "unused_input")),
    "B17": Row("a shared layer of two shapes", "both uses", _documents("shared_layer")),
    "B18": Row("no layers, no outputs", "explained", _documents("no_layers", "no_outputs", "output_is_input")),
    "B19": Row("unknown activations, rates out of range", "the range; a rate of 1 is Keras' and accepted",
               _documents("unknown_activation", "dropout_rate", "dropout_rate_nan")),
    "B20": Row("a loss that does not fit the output", "both",
               _documents("loss_does_not_fit", "cross_entropy_on_one_unit")),
    "B21": Row("learning rates out of range", "the range",
               _documents("learning_rate_zero", "learning_rate_negative", "learning_rate_huge", "learning_rate_text")),
    "B22": Row("unknown optimizers, schedules and betas", "the range", _documents("optimizer", "schedule_values")),
    "B23": Row("batch sizes and epochs out of range", "the range",
               _documents("training_out_of_range", "epochs_too_many")),
    "B24": Row("symbolic sizes where a number is needed", "the names",
               _documents("symbolic_where_fixed", "symbols_clash")),
    "B25": Row("weights that do not fit", "the weight, and both shapes",
               (f"{CLI}::test_weights_that_do_not_match_are_an_error",
                f"{CLI}::test_damaged_weight_files_are_an_error")),
    "B26": Row("many errors", "the first ones in the order of the file, and their number",
               _documents("many_errors", "too_many_errors")),
    "B27": Row("another version of the language", "the versions that are read",
               _documents("version", "version_wrong_type")),
    "B28": Row("bfloat16", "refused: a layer computes in float32"),
    "B29": Row("float64", "refused: a layer computes in float32"),
    "B30": Row("division by a constant of 0", "refused", _documents("integers_divided_by_zero")),
    "B31": Row("indices beyond an Embedding in data", "row, column, value and range",
               ("pipeline/test_validate_data.py::test_ranges_are_checked_without_training",)),
    "B32": Row("$ref, addresses, class names", "unknown keys; nothing is fetched",
               ("test_security.py::test_the_package_has_only_the_findings_that_were_reviewed",
                *_documents("remote_references"))),
    "B33": Row("a pattern that takes exponential time", "all patterns of the schema take linear time",
               ("frontend/schema/test_schema.py::test_every_pattern_takes_linear_time",)),
    # -- C: resources ----------------------------------------------------------------------------------------------
    "C1": Row("weights of terabytes", "too-large before memory is allocated", _documents("weights_too_large")),
    "C2": Row("many weights below the limit", "the layer with which their sum exceeds it",
              ("lowering/test_size_limit.py::test_the_layer_with_which_the_weights_exceed_the_file_size_is_named",)),
    "C3": Row("activations of terabytes", "out-of-range at the layer"),
    "C4": Row("many layers", "too-large above 10,000; linear time below",
              ("limits/test_small_files.py::test_the_largest_networks_need_500_megabytes",)),
    "C5": Row("diamonds of 2^60 paths", "linear time"),
    "C6": Row("a recurrence over ten million steps", "a loop in the graph, `unroll` or not"),
    "C7": Row("sizes beyond int64", "exact integers, then the range", _documents("too_large_product")),
    "C8": Row("large constants", "too-large", _documents("constant_too_large")),
    "C9": Row("long names", "at most 128 characters"),
    "C10": Row("blocks, repetitions and expressions that explode", "counted before they are expanded",
               ("frontend/expansion/test_expand.py::test_an_expansion_beyond_the_limits_is_rejected_without_delay",
                "frontend/expansion/test_expressions.py::test_an_invalid_expression_is_rejected_without_delay")),
    "C11": Row("deeply nested layers and graphs", "too-deep",
               ("limits/test_small_files.py::test_wrappers_that_nest_too_deeply_are_refused",)),
    "C12": Row("a model above 2 GiB", "too-large with the number",
               ("lowering/test_size_limit.py::test_the_layer_with_which_the_weights_exceed_the_file_size_is_named",)),
    "C13": Row("samples larger than the memory", "out-of-range, or out-of-memory", ("cli/test_diagnostic_memory.py",)),
    "C14": Row("a spec that takes long", "none does: each command ends in seconds",
               ("limits/test_small_files.py::test_a_hostile_spec_is_refused_in_seconds_and_500_megabytes",)),
    # -- D: paths and outputs --------------------------------------------------------------------------------------
    "D1": Row("paths out of the folder", "unsafe-path; ~, $HOME and %2e are plain characters",
              ("pipeline/test_validate_data.py::test_a_path_that_training_refuses_is_an_error",)),
    "D2": Row("symbolic links", "unsafe-path", _documents("data_paths")),
    "D3": Row("a hard link", "accepted: it is a file of the folder, and the system decides who may make one"),
    "D4": Row("a link in place of a file between check and opening", "one descriptor, O_NOFOLLOW",
              ("hostile_inputs/test_environment.py::test_a_file_that_becomes_a_link_is_never_read_outside",)),
    "D5": Row("odd names", "an error, or a file that does not exist"),
    "D6": Row("a folder, a pipe or a device as data", "unreadable-file"),
    "D7": Row("outputs that exist, are inputs or cannot be written", "unwritable-file, nothing changed",
              (f"{CLI}::test_an_input_file_is_never_overwritten",
               f"{CLI}::test_an_unwritable_output_is_an_error_and_leaves_no_files")),
    "D8": Row("names of layers as names of files", "invalid-name"),
    "D9": Row("a full disk", "an error, earlier results unchanged",
              ("pipeline/test_training_run.py::test_a_full_disk_leaves_earlier_results_unchanged",)),
    "D10": Row("system calls that fail", "an error, earlier results unchanged",
               ("fault_injection/test_fault_injection.py::test_nothing_is_lost_if_a_system_call_of_a_save_fails",)),
    "D11": Row("limits of the system on file sizes and descriptors", "an error",
               ("pipeline/test_training_run.py::test_a_limit_on_file_sizes_is_reported",
                "hostile_inputs/test_environment.py::test_too_few_descriptors_are_an_error")),
    "D12": Row("a working folder that was deleted, no home, no folder for temporary files", "works, or an error",
               (f"{CLI}::test_commands_in_a_deleted_folder", f"{CLI}::test_the_environment_does_not_change_the_model")),
    "D13": Row("two processes that write one file", "one of both results, whole",
               ("hostile_inputs/test_environment.py::test_processes_that_write_one_file_leave_a_whole_one",
                "runtime/test_checkpoint.py::test_two_runs_cannot_share_a_folder")),
    "D14": Row("odd times of files", "the same bytes",
               ("hostile_inputs/test_environment.py::test_times_of_files_do_not_matter",)),
    # -- J: environment --------------------------------------------------------------------------------------------
    "J1": Row("a provider that is not there", "an error with the command that installs it",
              ("runtime/test_providers.py::test_a_missing_provider_is_an_error_with_the_command_that_installs_it",
               "runtime/test_providers.py::test_a_provider_that_onnxruntime_drops_is_an_error")),
    "J2": Row("nodes without a kernel", "`jsonnx providers` lists them",
              ("runtime/test_providers.py::test_nodes_that_a_device_cannot_run_are_assigned_to_the_cpu",)),
    "J3": Row("fewer processors than the machine has", "as many threads as may be used",
              ("runtime/test_providers.py::test_the_number_of_threads_is_limited_by_affinity_and_quota",)),
    "J4": Row("an onnx package newer than onnxruntime", "the lowest opset that has the operators",
              ("backend/test_opset.py::test_operators_that_later_opsets_only_extend_are_written_in_opset_18",)),
    "J5": Row("other locales, closed pipes, no terminal", "no traceback",
              (f"{CLI}::test_a_closed_pipe_is_not_an_error", f"{CLI}::test_closed_and_full_standard_streams",
               f"{CLI}::test_characters_that_the_terminal_cannot_encode_are_escaped")),
    "J6": Row("a read-only file system", "checks and results on standard output work",
              ("hostile_inputs/test_environment.py::test_checks_write_nothing",)),
    "J7": Row("root, a umask, other users' locks", "modes are kept",
              (f"{CLI}::test_file_modes_and_links_are_kept",
               "core/test_files.py::test_a_new_file_has_the_mode_of_the_umask")),
    "J8": Row("a process that forks", "a thread of its own; sweeps start new processes",
              ("runtime/test_worker_thread.py::test_a_forked_process_gets_a_thread_of_its_own",)),
    "J9": Row("a gibibyte of memory", "specs are checked, and too little memory is an error",
              ("cli/test_diagnostic_memory.py", "limits/test_small_files.py")),
    "J10": Row("hash seeds, optimised bytecode, warnings as errors", "the same bytes",
               (f"{CLI}::test_the_environment_does_not_change_the_model",)),
}  # fmt: skip
