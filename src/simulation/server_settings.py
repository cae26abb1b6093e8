"""Owns what is configured of tool servers: how each is started, held, metered and offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ..adapters.egress import EgressPolicy
from ..world import ConfigurationFault
from .config_model import CostSettings, Model, Positive, Seconds, Text, Texts


class SandboxSettings(Model):
    """What a server may reach and use. In the file, keys left out are as in `defaults`."""

    runner: Literal["bubblewrap", "firejail", "none"] | None = Field(
        description="What holds it; `none` lets it run with your own rights. null is bubblewrap on "
        "Linux and none elsewhere; the variable MCP_SANDBOX_RUNNER goes over it."
    )
    network: Literal["none", "proxy", "host"] = Field(
        description="`none`; `proxy`, what its `egress` allows, through our filtering proxy; `host`, anything."
    )
    read: Texts = Field(description="Further folders and files that it sees, as in `args`.")
    write: Texts = Field(description="Further folders that it may change, as in `args`.")
    cpus: Positive = Field(description="CPUs that its processes may use at one time.")
    memory_bytes_max: Positive = Field(description="Most memory of all its processes.")
    processes_max: Positive = Field(description="Most processes and threads of them.")
    disk_bytes_max: Positive = Field(description="Most bytes in the folders that it may change.")


class EgressSettings(Model):
    """What a server may send out under `network: proxy`. Keys left out are as in `defaults`."""

    schemes: Texts = Field(description="Of `http` and `https`.")
    ports: tuple[Positive, ...] = Field(strict=False, description="Ports that may be asked for.")
    hosts_allowed: Texts = Field(
        description="Hosts: `example.org`, `*.example.org` (what is below it), or `*`."
    )
    hosts_denied: Texts = Field(description="Hosts that are denied even if they are allowed.")
    private_allowed: Texts = Field(
        description="Networks, addresses and hosts that may be reached although they are private."
    )
    request_bytes_max: Positive = Field(description="Largest body that is sent.")
    response_bytes_max: Positive = Field(description="Largest body that is answered.")
    connections_max: Positive = Field(description="Most connections open at one time.")
    connect_timeout_s: Seconds = Field(description="Real time to reach a host.")
    idle_timeout_s: Seconds = Field(description="Real time without a byte in either direction.")

    @model_validator(mode="after")
    def _is_a_policy(self) -> Self:
        try:
            EgressPolicy(**self.model_dump())
        except ConfigurationFault as fault:
            raise ValueError(str(fault)) from None
        return self


class ServerDefaults(Model):
    """What holds for a tool server that does not say otherwise."""

    start_timeout_s: Seconds = Field(
        description="Real time until a server is ready, its download included."
    )
    call_timeout_s: Seconds = Field(description="Real time that one call of a tool has.")
    call_timeout_max_s: Seconds = Field(
        description="Real time that a call has in all when the server reports progress."
    )
    answer_bytes_max: Positive = Field(description="Largest answer that is read from a server.")
    grace_s: Seconds = Field(
        description="Real time to end by itself after its input ends, and again after SIGTERM."
    )
    backoff_s: Seconds = Field(
        description="Real time before a server that died is started again; it doubles."
    )
    backoff_max_s: Seconds = Field(description="Longest real time before such a start.")
    restarts_max: Positive = Field(
        description="Failures within a minute after which a server is left alone for a while."
    )
    unavailable_s: Seconds = Field(description="Real time for which it is left alone.")
    processes: Positive = Field(
        description="Most processes side by side; more than one only for a server without state."
    )
    idle_stop_s: Seconds | None = Field(
        description="Real time without a call after which it is stopped until the next; null for never."
    )
    start: Literal["lazy", "background"] = Field(
        description="Whether it is started by the first call, or when the run begins."
    )
    sandbox: SandboxSettings = Field(description="What it may reach and use.")
    egress: EgressSettings = Field(description="What it may send out under `network: proxy`.")


class KeylessSettings(Model):
    """What is started instead of a server while a variable that it needs is missing."""

    command: Text = Field(description="Program that starts it, as for a server.")
    args: Texts = Field(default=(), description="Its arguments, as for a server.")


class ServerSettings(ServerDefaults):
    """A tool server. In the file, keys left out are as in `genesis.mcp.defaults`."""

    enabled: bool = Field(default=True, description="Whether its artifact is part of the world.")
    command: Text | None = Field(
        default=None, description="Program that starts it: a name on the search path, or a path."
    )
    url: Text | None = Field(
        default=None,
        description="Address of a remote server. It is kept and unavailable: only servers with a "
        "`command` are started so far.",
    )
    cwd: Text | None = Field(
        default=None, description="Its working directory, as in `args`; null for its own folder."
    )
    args: Texts = Field(
        default=(),
        description="Its arguments; one with `{roots}` stands once for every root of the scenario, "
        "`{proxy}` for the address of its filtering proxy, `{run}` for the run's folder, `{own}` for "
        "its own folder there, `{files}` for the folder of the agents' directories, `{python}` for "
        "our interpreter, `{lib}` for the folder of our own servers.",
    )
    env: Mapping[str, str] = Field(
        default={},
        description="Variables added to its environment; `${NAME}` is taken from our own, and "
        "without it the server is unavailable. A "
        "`.env` file in the current folder is read too.",
        json_schema_extra={"names": ["variable"]},
    )
    roots: Texts = Field(
        default=(),
        description="Folders that it is told of when it asks for its roots, as in `args`.",
    )
    keyless: KeylessSettings | None = Field(
        default=None,
        description="What is started instead while a variable in `env` is missing; null for nothing.",
    )
    limits: Mapping[str, Positive] = Field(
        default={},
        description="What all callers together may use of it, by resource, in its window.",
        json_schema_extra={"names": ["resource"]},
    )
    costs: Mapping[str, CostSettings] = Field(
        default={},
        description="Cost of its methods; `*` is every other. `world.costs` goes over it.",
        json_schema_extra={"names": ["method"]},
    )
    allowed_tools: Texts = Field(
        default=(),
        description="Tools that are offered; empty or with `*` for all but those that run commands "
        "or code, which have to be named.",
    )
    denied_tools: Texts = Field(default=(), description="Tools that are not offered.")
    idempotent_tools: Texts = Field(
        default=(), description="Methods that may be performed again after a crash; `*` for all."
    )

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has either a command or a url")
        return self


class McpSettings(Model):
    """The tool servers."""

    directory_bytes_max: Positive = Field(
        description="Most bytes in one agent's directory of genesis_filesystem; an entry counts "
        "4,096 besides its content."
    )
    defaults: ServerDefaults = Field(description="What holds for a server that says nothing else.")
    servers: Mapping[str, ServerSettings] = Field(
        description="Servers by name, which is an id; `my-tools` is the artifact `genesis_my_tools`.",
        json_schema_extra={"names": ["server"]},
    )
