"""The command lint."""

from __future__ import annotations

import sys

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    ONLY_SPECS_OPTION,
    REPORT_FORMAT_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    handles_errors,
    print_result,
    selected_specs,
)
from .fixes import FixOptions, fix_options
from .options import data_option
from .specs import OptionalDataCommand, check_and_print


@click.command(cls=OptionalDataCommand)
@click.argument("specs", nargs=-1, metavar="SPEC...")
@data_option(
    "Also read and check the data, for the rules that need them: the files that the spec names, or FILE in their "
    "place; a .json file needs --data=FILE.",
    metavar="[FILE]",
)
@click.option("--spec-data", is_flag=True, hidden=True)
@DATA_ROOT_OPTION
@click.option("--select", multiple=True, metavar="CODE,...", help="Run only these rules; `all` for all of them.")
@click.option("--extend-select", multiple=True, metavar="CODE,...", help="Run these rules, too.")
@click.option("--ignore", multiple=True, metavar="CODE,...", help="Leave out these rules and warnings.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Configuration in place of the nearest jsonnx.toml or pyproject.toml.",
)
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
@click.option("--exit-zero", is_flag=True, help="Leave the exit status 0 in spite of findings; errors still make it 1.")
@click.option("--list-rules", is_flag=True, help="List all rules and exit.")
@REPORT_FORMAT_OPTION
@fix_options
@ONLY_SPECS_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def lint(
    specs: tuple[str, ...],
    data: UserFiles | None,
    spec_data: bool,
    data_roots: tuple[str, ...],
    select: tuple[str, ...],
    extend_select: tuple[str, ...],
    ignore: tuple[str, ...],
    config: str | None,
    isolated: bool,
    exit_zero: bool,
    list_rules: bool,
    format_: str,
    only_specs: bool,
    scale: str | None,
    changes: tuple[str, ...],
    fixing: FixOptions,
) -> None:
    """Check specs, and look for what is valid but hardly meant. The exit status is 1 if there is an error or a finding,
    2 if a file or a configuration cannot be read.

    Rules and their configuration are described in docs/guides/tools/lint.md. `jsonnx explain CODE` explains a finding.
    """
    from ..lint.configuration import command_line_selection
    from ..pipeline.validate.lint_spec import LintOptions
    from ..pipeline.validate.validate import ValidationOptions

    if list_rules:
        from ..render.reference.rules_table import rules_json, rules_text

        print_result(rules_json() if format_ == "json" else rules_text())
        return
    if not specs:
        raise UsageError("bad-option", "there is no spec to lint", "name one or several: jsonnx lint spec.json")
    if config is not None and isolated:
        raise UsageError("bad-option", "--config and --isolated exclude each other", "leave one of them out")
    selection = command_line_selection(select, extend_select, ignore)
    lint_options = LintOptions(selection, config, isolated, exit_zero)
    data_choice = spec_data if data is None else data
    options = ValidationOptions(scale, changes, data_choice, data_roots, lint_options=lint_options)
    sys.exit(check_and_print(selected_specs(specs, only_specs), options, format_, fixing))
