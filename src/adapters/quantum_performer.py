"""Owns who performs which effect of genesis_quantum: simulations here, jobs for devices at their service.

Jobs for devices have a worker of their own, which alone is told the token. It must not know circuits.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from ..world import Code, EffectRequest, EffectResult
from .quantum_pool import QuantumPool

DEVICE_JOBS: Final = frozenset(("submit", "status", "result"))
NETWORK: Final = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")
"""What a worker that reaches a service may need of the environment."""
_LOCAL: Final = "local:"
_HIDDEN: Final = "(the token)"


class Account(msgspec.Struct, frozen=True):
    """Where the account of a device service stands: names of variables of the environment.

    Attributes:
        folder: where local devices keep their jobs.
    """

    token_env: str
    instance_env: str
    folder: Path


class QuantumPerformer:
    """Performs every effect of genesis_quantum.

    Attributes:
        patience_s: real seconds for starting workers, and for waiting until one is free.
    """

    def __init__(self, pool: QuantumPool, devices: QuantumPool, account: Account) -> None:
        """Take two pools, which are closed with it."""
        self.patience_s = pool.patience_s
        self._pool = pool
        self._devices = devices
        self._account = account

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Perform one effect; what goes wrong is a result with a code."""
        asked: Any = request.payload
        if asked["job"] not in DEVICE_JOBS:
            return await self._pool.perform(request)
        token = os.environ.get(self._account.token_env, "")
        is_local = asked["payload"]["device"].startswith(_LOCAL)
        why = _missing(is_local or bool(token), self._account.token_env)
        if why:
            return EffectResult(None, Code.TOOL_UNAVAILABLE, why, {"cpu_us": 0, "compute": 0})
        own = {
            "key": request.key,
            "folder": str(self._account.folder),
            "token": "" if is_local else token,
            "instance": os.environ.get(self._account.instance_env, ""),
        }
        told = asked | {"payload": asked["payload"] | own}
        result = await self._devices.perform(msgspec.structs.replace(request, payload=told))
        if not token:
            return result
        return msgspec.structs.replace(result, detail=result.detail.replace(token, _HIDDEN))

    async def close(self) -> None:
        """End all workers, also those that are busy."""
        await self._pool.close()
        await self._devices.close()


def _missing(has_token: bool, token_env: str) -> str:
    """Why jobs for devices cannot be done here, and what to do; empty where they can."""
    if find_spec("qiskit_ibm_runtime") is None:
        return "devices are reached by qiskit-ibm-runtime: pip install 'scripworld[devices]'"
    if not has_token:
        return (
            f"a device of IBM needs the token of an account: put it into {token_env}, "
            "or practise with local:fake_manila"
        )
    return ""
