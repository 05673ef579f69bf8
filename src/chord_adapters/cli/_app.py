"""The commands by name, and the one frame round them that turns errors into exit statuses."""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from chord_adapters.cli._outcome import EXPECTED, WRITES, UsageError, failure, innermost
from chord_adapters.cli._output import give_up_output, open_output, print_json, say


def _version() -> str:
    from importlib.metadata import version  # which loads a good deal, for nothing else

    return version("chord-dht")


app = App(
    name="chord",
    help="A Chord ring: run nodes of it, store and read through them, look at it.",
    version=_version,
    help_format="plaintext",
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
# By name, so that a command loads its own module only.
_COMMANDS = {
    "demo": "demo:demo",
    "node": "node:node",
    "put": "records:put",
    "get": "records:get",
    "delete": "records:delete",
    "store": "blocks:store",
    "fetch": "blocks:fetch",
    "locate": "look:locate",
    "status": "look:status",
    "ring": "look:ring",
    "keys": "keys:keys",
    "watch": "watch:watch",
    "export": "keys:export",
    "import": "imports:import_file",
    "tls": "tls:app",
    "sim": "sim:app",
    "check": "check:app",
    "replay": "replay:replay_file",
    "bench": "bench:bench",
}
for _order, (_name, _place) in enumerate(_COMMANDS.items()):
    app.command(f"chord_adapters.cli.{_place}", name=_name, sort_key=_order)
app.register_install_completion_command()


def run(tokens: list[str]) -> int:
    """Run the command that ``tokens`` name and return its exit status."""
    open_output()
    if not tokens or tokens[0] in app.help_flags:
        for name in _COMMANDS:
            app[name]  # loads it, to show its summary
    try:
        try:
            status = int(app(tokens) or 0)
        except CycloptsError as error:
            raise UsageError(str(error)) from error
        sys.stdout.flush()
    except (*EXPECTED, KeyboardInterrupt, BaseExceptionGroup) as error:
        return _failed(error, tokens)
    return status


def _failed(error: BaseException, tokens: list[str]) -> int:
    cause = innermost(error)
    status, document = failure(cause, writes=bool(WRITES.intersection(tokens[:1])))
    if status is None:
        raise error  # a bug, to be seen with its traceback
    if isinstance(cause, BrokenPipeError):  # Whoever read our output has enough of it.
        give_up_output()
        return status
    message = str(document["message"])
    if document["outcome_unknown"]:
        message += "; whether it was written is not known"
    try:
        sys.stdout.flush()
        if "--json" in tokens:
            print_json({"error": document})
            return status
    except OSError as trouble:
        give_up_output()
        if isinstance(trouble, BrokenPipeError):
            return status
        unwritten = f"standard output cannot be written: {trouble.strerror}"
        is_that = isinstance(cause, OSError) and cause.errno == trouble.errno
        message = unwritten if is_that else f"{message}; {unwritten}"
    say(message)
    return status
