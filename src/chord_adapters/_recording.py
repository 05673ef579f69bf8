"""The recorder: everything that nodes are told, and what they do, in a file that ``chord replay`` feeds to them again.

It stands between a driver and its nodes, or is not there at all: then nothing costs anything.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from chord_adapters._recording_form import (
    DOORS,
    FIRST_LINE,
    MAX_FILE,
    MAX_LINE,
    Digest,
    compact,
    input_line,
    node_line,
    record_line,
    versions,
)
from chord_adapters._words import label
from chord_proto.config import Config
from chord_proto.effects import Effect
from chord_proto.errors import LocalProtocolError
from chord_proto.messages import Record
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.wire import Codec

_BY_PERFORM = ("locate", "get", "put", "delete", "store", "fetch")
_log = logging.getLogger("chord_adapters")


class Recorder:
    """Writes the recording of any number of nodes to ``path``.

    Each line is handed to the operating system at once, an input before the node sees it, so that a killed process
    loses at most the line it was writing.  What is in the way later, a full disk or a file of more than ``limit``
    bytes, ends the recording and not the node: ``report`` is told once, by default the log.

    Raises ``OSError`` when the file cannot be written, ``FileExistsError`` when it holds something already:
    what an earlier life left behind may be what somebody is looking for.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, limit: int = MAX_FILE, report: Callable[[str], None] = _log.warning
    ) -> None:
        self.path = Path(path)
        self.limit = limit
        self._report = report
        self._digest = Digest()
        self._codecs: dict[int, Codec] = {}
        self._steps = self._size = self._whole = 0
        self._within = False
        self._file: int | None = _opened(self.path)
        try:
            for line in (FIRST_LINE, f"version {compact(versions())}\n"):
                self._put(line)
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether it still records."""
        return self._file is not None

    def node(
        self,
        me: Peer,
        *,
        seed: int,
        config: Config | None = None,
        incarnation: int = 1,
        records: Iterable[Record] = (),
        **life: Any,
    ) -> Node:
        """Make a `Node` that is recorded; its arguments and its doors are the same."""
        kept = tuple(records)
        node = Node(me, seed=seed, config=config, incarnation=incarnation, records=kept, **life)
        codec = self._codecs.get(node.config.bits)
        if codec is None:
            codec = self._codecs[node.config.bits] = Codec(node.config.bits)
        try:
            lines = [node_line(node, seed, kept, life), *(record_line(record, codec) for record in kept)]
        except (LocalProtocolError, TypeError, ValueError) as error:
            self._stop(f"a record of {label(me)} cannot be recorded: {error}")
            lines = []
        for line in lines:
            self._write(line)
        return cast("Node", _Recorded(node, self, codec))

    def input(
        self, name: str, kind: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any], now: float, codec: Codec
    ) -> None:
        """Write down what a node is about to be told."""
        if self._file is None:
            return
        try:
            line = input_line(self._steps + 1, now, name, kind, arguments, keywords, codec)
        except (LocalProtocolError, TypeError, ValueError) as error:
            self._stop(f"an input of {name} cannot be recorded: {error}")
            return
        if len(line) > MAX_LINE:
            self._stop(f"an input of {name} is longer than a line may be")
        elif self._size + len(line) > self.limit:
            self._stop(f"it has reached its bound of {self.limit} bytes")
        else:
            self._within = True
            self._write(line)

    def outcome(self, outcome: list[Effect] | Exception) -> None:
        """Write down what came of the latest input."""
        if self._file is not None:
            self._within = False
            self._steps += 1
            self._write("".join(self._digest.outcome(outcome)), digested=True)

    def close(self) -> None:
        """End the recording; harmless when it has ended."""
        if self._file is not None and not self._within:
            self._write(f"end {self._steps}\n")
        self._release()

    def _write(self, line: str, *, digested: bool = False) -> None:
        """Write, unless the recording has ended; a disk that refuses ends it."""
        if self._file is None:
            return
        try:
            self._put(line, digested=digested)
        except OSError as error:
            self._stop(error.strerror or str(error))

    def _put(self, line: str, *, digested: bool = False) -> None:
        if not digested:
            self._digest.line(line)
        self._put_bytes(line.encode("utf-8", "backslashreplace"))
        if not self._within:
            self._whole = self._size  # So far, a step that has only begun not counted.

    def _put_bytes(self, data: bytes) -> None:
        assert self._file is not None
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            rest = rest[written:]
            self._size += written

    def _stop(self, why: str) -> None:
        """End the recording for good, and say so: in the file, cut back to its last whole step, and to people."""
        if self._file is None:
            return
        try:
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                os.ftruncate(self._file, self._whole)
                os.lseek(self._file, self._whole, os.SEEK_SET)
            self._put_bytes(f"stopped {why}\n".encode("utf-8", "backslashreplace"))
        except OSError as error:
            why = f"{why}; nor could that be written there: {error.strerror}"
        self._release()
        self._report(f"the recording {self.path} has stopped, the node goes on: {why}")

    def _release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


class _Recorded:
    """A node whose inputs are written down; in all else the node itself."""

    def __init__(self, node: Node, recorder: Recorder, codec: Codec) -> None:
        self._node = node
        self._recorder = recorder
        self._codec = codec
        self._name = label(node.me)
        for kind in DOORS:
            setattr(self, kind, partial(self._put_in, kind))
        for kind in _BY_PERFORM:
            setattr(self, kind, partial(getattr(Node, kind), self))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def _put_in(self, kind: str, *arguments: Any, now: float, **keywords: Any) -> list[Effect]:
        recorder = self._recorder
        recorder.input(self._name, kind, arguments, keywords, now, self._codec)
        try:
            effects: list[Effect] = getattr(self._node, kind)(*arguments, now=now, **keywords)
        except Exception as error:
            recorder.outcome(error)
            raise
        recorder.outcome(effects)
        return effects


def _opened(path: Path) -> int:
    if path.exists() and path.stat().st_size:
        raise FileExistsError(f"{path} exists already, and a recording never replaces anything")
    # Records are in it, in full.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
