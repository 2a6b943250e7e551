"""The command line: the table of commands, and how every error reaches the user."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import accord
from accord.cli.loading import LazyCommand, lazy_group
from accord.cli.render import error_note, print_text
from accord.domain.errors import AccordError, ConfigError, Interrupted, MissingExtra, Waiting

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_WAITING = 3
EXIT_INTERRUPTED = 130
"""What a shell reports for a process stopped by Ctrl-C."""

EXTRAS = {
    "fastapi": "server",
    "gguf": "gguf",
    "jaxtyping": "train",
    "jwt": "server",
    "peft": "train",
    "pg8000": "server",
    "pyarrow": "parquet",
    "safetensors": "train",
    "sqlalchemy": "server",
    "tokenizers": "train",
    "torch": "train",
    "tqdm": "train",
    "transformers": "train",
    "uvicorn": "server",
    "yaml": "yaml",
}
"""Which extra brings a package that the base install leaves out."""

COMMANDS = (
    LazyCommand(
        name="quickstart",
        summary="Take SmolLM2-135M through two rounds of judgments, with gates that decide on each release.",
        module="accord.cli.quickstart",
        attribute="quickstart",
    ),
    LazyCommand(
        name="run",
        summary=(
            "Tune, learn a reward, optimize, evaluate and report, once or round after round, "
            "as a config file says."
        ),
        module="accord.cli.run",
        attribute="run",
    ),
    LazyCommand(
        name="train",
        summary="Train on files: fine-tuning, a reward model, or a policy by DPO, KTO, RLOO, PPO and others.",
        module="accord.cli.train",
    ),
    LazyCommand(
        name="data",
        summary="Look at, convert and split files of records.",
        module="accord.cli.data",
    ),
    LazyCommand(
        name="quality",
        summary="Judge judgments: consensus, agreement, annotators, biases, cost.",
        module="accord.cli.quality",
    ),
    LazyCommand(
        name="evaluate",
        summary="Evaluate models: win rates at equal length, suites for instructions, bias, safety.",
        module="accord.cli.evaluate",
    ),
    LazyCommand(
        name="redteam",
        summary="Try known ways around a model's refusals, sort what came back, and keep what broke.",
        module="accord.cli.redteam",
    ),
    LazyCommand(
        name="gate",
        summary="Say of each gate, and of the release: pass, fail, undecided or not measured.",
        module="accord.cli.gate",
        attribute="gate",
    ),
    LazyCommand(
        name="project",
        summary="Set out what people judge: make projects, add items, export judgments.",
        module="accord.cli.project",
    ),
    LazyCommand(
        name="policy",
        summary="From a written policy: its guideline, questions, reward heads and gates.",
        module="accord.cli.policy",
    ),
    LazyCommand(
        name="serve",
        summary="Start the server where people judge, in the browser and over HTTP; or serve models.",
        module="accord.cli.serve",
        attribute="serve",
    ),
    LazyCommand(
        name="simulate",
        summary="Let simulated annotators judge a project, to try a workflow out or to show it.",
        module="accord.cli.simulate",
        attribute="simulate",
    ),
    LazyCommand(
        name="store",
        summary="Look after the database of judgments: its version, its chain of events, its copies.",
        module="accord.cli.store",
    ),
    LazyCommand(
        name="trace",
        summary="Show what a model was made of, down to each judgment; or what a judgment touched.",
        module="accord.cli.trace",
        attribute="trace",
    ),
    LazyCommand(
        name="recall",
        summary="Call judgments back: they count no longer, and all that rests on them is listed.",
        module="accord.cli.trace",
        attribute="recall",
    ),
    LazyCommand(
        name="card",
        summary="Write the card of a model or of a snapshot: what it is, who judged, what was measured.",
        module="accord.cli.card",
        attribute="card",
    ),
    LazyCommand(
        name="runs",
        summary="List the runs of the workspace, the latest first.",
        module="accord.cli.runs",
        attribute="list_runs",
    ),
    LazyCommand(
        name="show",
        summary="Show one run: status, result, metrics, artifacts, config and where it came from.",
        module="accord.cli.runs",
        attribute="show_run",
    ),
)

CommandLineError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""Root of Typer's own errors; reached so because Typer brings its own copy of Click, or not, by version."""

app = typer.Typer(
    name="accord",
    cls=lazy_group(COMMANDS),
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def print_version(is_wanted: bool) -> None:
    """Print the version and leave, when asked to."""
    if is_wanted:
        print_text(f"accord {accord.__version__}")
        raise typer.Exit()


@app.callback()
def root(
    is_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """From human judgment to a released language model, every step measured."""


def run_command(arguments: Sequence[str], *, application: typer.Typer = app) -> int:
    """Run one command line; returns the exit code. Errors users can cause are one message on stderr.

    1 for an error, 2 for a wrong command line or config, 3 where people must judge first, 130 when stopped by
    the user.
    A bug keeps its traceback.
    """
    try:
        result = application(args=list(arguments), prog_name="accord", standalone_mode=False)
    except CommandLineError as error:
        return _explain_usage(error)
    except ConfigError as error:
        error_note(str(error))
        return EXIT_USAGE
    except Waiting as error:
        error_note(str(error), word="waiting")
        return EXIT_WAITING
    except Interrupted as error:
        error_note(str(error))
        return EXIT_INTERRUPTED
    except AccordError as error:
        error_note(str(error))
        return EXIT_ERROR
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        error_note(str(MissingExtra("this command", EXTRAS[package])))
        return EXIT_ERROR
    except (KeyboardInterrupt, typer.Abort):
        result = EXIT_INTERRUPTED
    if result == EXIT_INTERRUPTED:
        error_note("stopped by the user")
    return result if isinstance(result, int) else 0


def main() -> None:
    """The `accord` command."""
    sys.exit(run_command(sys.argv[1:] or ["--help"]))


def _explain_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        print_text(error.ctx.get_help())
        return 0
    place = "accord" if getattr(error, "ctx", None) is None else error.ctx.command_path
    message = error.format_message()
    error_note(f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{place} --help`.")
    return int(error.exit_code)
