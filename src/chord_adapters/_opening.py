"""The arguments of ``open_node`` and ``connect``: checked before anything happens, and made into what they mean."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from chord_adapters._address import HostPort, Service, parse, parse_contact
from chord_adapters._client import Asker, Client
from chord_adapters._driver import Driver
from chord_adapters._keeper import Keeper, begin
from chord_adapters._kept import KeptDriver
from chord_adapters._names import Resolve, is_here
from chord_adapters._recording import Recorder
from chord_adapters._runtime import Runtime
from chord_adapters._tls import Tls, tls_of
from chord_adapters.storage import Storage
from chord_proto.config import Config
from chord_proto.connection import Hello
from chord_proto.peer import Address

FilePath: TypeAlias = str | PathLike[str]
"""How callers name a file."""
_STORAGE = ("load", "apply", "close")


@attrs.frozen
class Opening:
    """How a node is to be opened."""

    listen: HostPort
    advertise: HostPort | None
    join: tuple[HostPort | Service, ...]
    config: Config
    virtual_nodes: int
    network: str
    seed: int
    record: Path | None
    storage: Storage | None
    tls: Tls | None

    @classmethod
    def of(
        cls,
        listen: str,
        *,
        join: Sequence[str],
        config: Config,
        virtual_nodes: int,
        network: str,
        advertise: str | None,
        seed: int | None,
        record: FilePath | None,
        storage: Storage | None,
        tls: Tls | FilePath | None = None,
    ) -> Opening:
        """Check the arguments; raises `ValueError` and `TypeError`, and `OSError` for certificates."""
        where = parse(listen, what="listen address", port_zero=True)
        told = None if advertise is None else parse(advertise, what="advertise address", port_zero=True)
        if (told or where).is_wildcard:
            raise ValueError(f"{told or where} is no address that others can dial: pass advertise=")
        if isinstance(join, str):
            raise TypeError("join is a list of addresses, not one str")
        contacts = tuple(parse_contact(address) for address in join)
        if any(isinstance(contact, Service) for contact in contacts):
            import chord_adapters._srv  # noqa: F401 -- so that its absence is told at once
        check_config(config)
        check_network(network, config)
        _check_int("virtual_nodes", virtual_nodes)
        if not 1 <= virtual_nodes <= config.max_virtual_nodes:
            raise ValueError(f"virtual_nodes is from 1 to {config.max_virtual_nodes}, not {virtual_nodes}")
        if seed is not None:
            _check_int("seed", seed)
        if storage is not None and not all(callable(getattr(storage, each, None)) for each in _STORAGE):
            raise TypeError(f"storage is a Storage, for example SqliteStorage(path), not {type(storage).__name__}")
        return cls(
            listen=where,
            advertise=told,
            join=contacts,
            config=config,
            virtual_nodes=virtual_nodes,
            network=network,
            seed=secrets.randbits(64) if seed is None else seed,
            record=None if record is None else Path(record),
            storage=storage,
            tls=tls_of(tls),
        )

    async def keeper(self, runtime: Runtime) -> Keeper | None:
        """Load the storage, if there is one, outside the loop; raises what it raises, and `ValueError`."""
        if self.storage is None:
            return None
        return await Keeper.opened(self.storage, runtime, **self._begins())

    def keeper_now(self, runtime: Runtime) -> Keeper | None:
        """Do what `keeper` does, at once."""
        if self.storage is None:
            return None
        return Keeper(self.storage, begin(self.storage, civil=runtime.civil(), **self._begins()))

    def _begins(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "places": self.virtual_nodes,
            "bits": self.config.bits,
            "keep_outdated": self.config.keep_outdated,
        }

    def driver(
        self, runtime: Runtime, address: HostPort, contacts: tuple[Address, ...], keeper: Keeper | None = None
    ) -> Driver:
        """Return the driver of the nodes, to which the keeper belongs now; `OSError` when they cannot be recorded."""
        recorder: Recorder | None = None
        try:
            recorder = None if self.record is None else Recorder(self.record)
            make = Driver if keeper is None else partial(KeptDriver, keeper)
            return make(
                runtime,
                str(address),
                config=self.config,
                network=self.network,
                virtual_nodes=self.virtual_nodes,
                contacts=contacts,
                seed=self.seed,
                recorder=recorder,
            )
        except BaseException:
            if recorder is not None:
                recorder.close()
            if keeper is not None:
                keeper.close(runtime, flush=False)
            raise

    def address(self, sock: socket.socket) -> HostPort:
        """Return the address that the node advertises when it listens at ``sock``."""
        port = sock.getsockname()[1]
        said = self.advertise or self.listen
        return said._replace(port=said.port if self.advertise is not None and said.port else port)

    async def contacts(self, sock: socket.socket, resolve: Resolve) -> tuple[Address, ...]:
        """Return whom to join by, without oneself; raises `ValueError` when that is everybody."""
        own = [await self._is_own(contact, sock, resolve) for contact in self.join]
        if own and all(own):
            raise ValueError(f"{self.join[0]} is the node's own address: there is nobody to join by")
        return tuple(dict.fromkeys(str(contact) for contact, ours in zip(self.join, own, strict=True) if not ours))

    async def _is_own(self, contact: HostPort | Service, sock: socket.socket, resolve: Resolve) -> bool:
        """Tell whether there is nobody else at a contact, as far as can be seen now."""
        if contact == self.address(sock):
            return True
        bound = sock.getsockname()
        if isinstance(contact, Service) or contact.port != bound[1]:
            return False
        try:
            found = await resolve(contact.host, contact.port)
        except OSError:
            return False  # Whoever that is, it cannot be reached now.
        return all(is_here(where, bound) for _, _, _, _, where in found)


def client_of(runtime: Runtime, address: str, *, network: str, config: Config) -> tuple[Asker, Client]:
    """Check the arguments of ``connect`` and return the client; raises `ValueError` and `TypeError`."""
    where = parse(address)
    check_config(config)
    check_network(network, config)
    asker = Asker(runtime, str(where), config=config, network=network, seed=secrets.randbits(64))
    return asker, Client(asker)


def check_config(config: Config) -> None:
    """Raise `TypeError` for what is no `Config`."""
    if not isinstance(config, Config):
        raise TypeError(f"config is a Config, not {type(config).__name__}")


def check_network(network: str, config: Config) -> None:
    """Raise `TypeError` or `ValueError` for what cannot be the name of a network."""
    if not isinstance(network, str):
        raise TypeError(f"network is a str, not {type(network).__name__}")
    Hello(network, config.bits)


def _check_int(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
