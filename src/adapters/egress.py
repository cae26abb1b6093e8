"""Owns the policy on what goes out: which scheme, host, port and address a server may reach.

Pure: text and addresses in, nothing or a refusal out. It must not know sockets, resolvers or HTTP;
`egress_proxy` enforces it. The tables follow IANA's special-purpose address registries (RFC 6890)
and the metadata services of the large clouds.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from ..world import ConfigurationFault, Fault

Address = IPv4Address | IPv6Address

SCHEMES: Final = {"http": 80, "https": 443}
"""What can be asked for, with its default port."""

METADATA_HOSTS: Final = ("metadata", "metadata.google.internal", "metadata.goog", "instance-data")
METADATA_ADDRESSES: Final = frozenset(
    map(
        ip_address,
        (
            *(
                "169.254.169.254",
                "169.254.170.2",
                "169.254.170.23",
                "fd00:ec2::254",
                "fd00:ec2::23",
            ),
            *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"),
        ),
    )
)
"""Where clouds tell a machine its secrets; no name opens these, only an address or network."""

_KINDS: Final = tuple(
    (ip_network(network), kind)
    for kind, networks in {
        "this network": ("0.0.0.0/8", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
        "shared (carrier-grade NAT)": ("100.64.0.0/10",),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "for documentation": (
            *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
        ),
        "for benchmarks": ("198.18.0.0/15",),
        "a tunnel": ("192.88.99.0/24", "2002::/16", "2001::/32"),
        "reserved": ("192.0.0.0/24", "240.0.0.0/4", "2001::/23"),
    }.items()
    for network in networks
)
_PUBLIC_V6: Final = ip_network("2000::/3")
_NAT64: Final = ip_network("64:ff9b::/96")

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\Z")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?\Z", re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?\Z")


class Rule(enum.StrEnum):
    """The rule that a refusal rests on; where it is a setting, its name."""

    SPELLING = "spelling"
    SCHEMES = "schemes"
    PORTS = "ports"
    HOSTS_DENIED = "hosts_denied"
    HOSTS_ALLOWED = "hosts_allowed"
    PRIVATE_ALLOWED = "private_allowed"
    REQUEST_BYTES_MAX = "request_bytes_max"
    RESPONSE_BYTES_MAX = "response_bytes_max"
    CONNECTIONS_MAX = "connections_max"


class EgressRefused(Fault):
    """What was asked for may not go out; `rule` says why, the text also what to configure."""

    def __init__(self, rule: Rule, text: str) -> None:
        super().__init__(f"{text}. {_ADVICE[rule]}")
        self.rule = rule


_ADVICE: Final = {
    Rule.SPELLING: "Write the address in its plain form",
    Rule.HOSTS_DENIED: "Whoever runs this can take it out of `hosts_denied`",
    Rule.CONNECTIONS_MAX: "Try again later; whoever runs this can raise `connections_max`",
    Rule.REQUEST_BYTES_MAX: "Send less; whoever runs this can raise `request_bytes_max`",
    Rule.RESPONSE_BYTES_MAX: "Ask for less; whoever runs this can raise `response_bytes_max`",
} | {
    rule: f"Whoever runs this can add it to `{rule}`"
    for rule in (Rule.SCHEMES, Rule.PORTS, Rule.HOSTS_ALLOWED, Rule.PRIVATE_ALLOWED)
}


@dataclass(frozen=True)
class Target:
    """Where a request goes: a normalised host, and what is asked there, which may hold secrets."""

    scheme: str
    host: str
    port: int
    path: str = field(default="", repr=False)

    @property
    def authority(self) -> str:
        """The value of a `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if SCHEMES.get(self.scheme) == self.port else f"{host}:{self.port}"


@dataclass(frozen=True)
class EgressPolicy:
    """What one server may reach. Checked when it is made.

    Attributes:
        schemes, ports: what may be asked for; a tunnel to port 80 counts as ``http``, any other as
            ``https``.
        hosts_allowed, hosts_denied: patterns: a host, ``*.example.org`` (what is below it, not
            itself) or ``*``. What is denied is denied even if it is allowed too.
        private_allowed: networks, addresses and host patterns that may be reached although their
            addresses aren't public. A host pattern doesn't open a cloud's metadata service.
        request_bytes_max, response_bytes_max: of one body, and of each way of one tunnel.
        connections_max: open at one time; further ones are turned away.
        connect_timeout_s: to find the addresses, and to reach one of them.
        idle_timeout_s: without a byte in either direction.

    Raises:
        ConfigurationFault: a value can't be used; the text names it.
    """

    schemes: tuple[str, ...] = ("http", "https")
    ports: tuple[int, ...] = (80, 443)
    hosts_allowed: tuple[str, ...] = ("*",)
    hosts_denied: tuple[str, ...] = ()
    private_allowed: tuple[str, ...] = ()
    request_bytes_max: int = 33_554_432
    response_bytes_max: int = 268_435_456
    connections_max: int = 64
    connect_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for scheme in self.schemes:
            if scheme not in SCHEMES:
                raise ConfigurationFault(f"schemes: {scheme!r} is neither http nor https")
        for port in self.ports:
            if not 0 < port < 65_536:
                raise ConfigurationFault(f"ports: {port} is not between 1 and 65535")
        for name in ("hosts_allowed", "hosts_denied"):
            for pattern in getattr(self, name):
                _check_pattern(name, pattern)
        for entry in self.private_allowed:
            if "/" not in entry:
                _check_pattern("private_allowed", entry)
                continue
            try:
                ip_network(entry)
            except ValueError as error:
                raise ConfigurationFault(f"private_allowed: {error}") from None
        for name in ("request_bytes_max", "response_bytes_max", "connections_max"):
            if getattr(self, name) < 1:
                raise ConfigurationFault(f"{name} is under 1")
        for name in ("connect_timeout_s", "idle_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationFault(f"{name} is not above 0 and finite")

    def check(self, target: Target) -> None:
        """Check all that is known before the name is looked up.

        Raises:
            EgressRefused: it may not be reached.
        """
        host = target.host
        if target.scheme not in self.schemes:
            raise EgressRefused(
                Rule.SCHEMES, f"{target.scheme} is not one of {', '.join(self.schemes) or 'none'}"
            )
        if target.port not in self.ports:
            allowed = ", ".join(map(str, self.ports)) or "none"
            raise EgressRefused(Rule.PORTS, f"port {target.port} is not one of {allowed}")
        if matches(host, self.hosts_denied):
            raise EgressRefused(Rule.HOSTS_DENIED, f"{host} is denied")
        if not matches(host, self.hosts_allowed):
            raise EgressRefused(Rule.HOSTS_ALLOWED, f"{host} is not among the hosts allowed")
        if matches(host, METADATA_HOSTS) and not matches(host, self._private_hosts()):
            raise EgressRefused(Rule.PRIVATE_ALLOWED, f"{host} is a cloud's metadata service")

    def check_addresses(self, host: str, addresses: Iterable[Address]) -> None:
        """Check every address that a host's name was found to have; one bad one spoils them all.

        Raises:
            EgressRefused: one of them may not be reached.
        """
        by_name = matches(host, self._private_hosts())
        networks = [ip_network(entry) for entry in self.private_allowed if "/" in entry]
        for address in addresses:
            plain = embedded(address)
            kind = kind_of(plain)
            if kind is None or any(plain in network for network in networks):
                continue
            if str(plain) in self.private_allowed:
                continue
            if by_name and plain not in METADATA_ADDRESSES:
                continue
            where = host if host == str(address) else f"{host} is at {address}, which"
            raise EgressRefused(Rule.PRIVATE_ALLOWED, f"{where} is not public: it is {kind}")

    def _private_hosts(self) -> tuple[str, ...]:
        return tuple(entry for entry in self.private_allowed if "/" not in entry)


def matches(host: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns means a normalised host."""
    return any(
        pattern == "*" or pattern == host or (pattern[:2] == "*." and host.endswith(pattern[1:]))
        for pattern in patterns
    )


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for on the wire, else itself.

    That is so for the mapped form (RFC 4291, 2.5.5.2) and for the well-known prefix of NAT64
    (RFC 6052), behind which a network without IPv4 sees all of it. The other forms that hold an
    IPv4 address (compatible, 6to4, Teredo, local NAT64) are never public.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def kind_of(address: Address) -> str | None:
    """Return why an address isn't public, or None if it is."""
    plain = embedded(address)
    if plain in METADATA_ADDRESSES:
        return "a cloud's metadata service"
    for network, kind in _KINDS:
        if plain in network:
            return kind
    return "reserved" if isinstance(plain, IPv6Address) and plain not in _PUBLIC_V6 else None


def host_of(text: str) -> str:
    """Return the one spelling of a host: lower case, no final dot, an address without brackets.

    Raises:
        EgressRefused: it is none, or an address that isn't in its usual form (`0x7f.1`, `127.1`,
            `2130706433`, zones), which programs read differently.
    """
    host = text.lower().removesuffix(".") if text.isascii() else ""
    try:
        if text.startswith("[") and text.endswith("]"):
            address = IPv6Address(text[1:-1])
            if address.scope_id is None:
                return str(address)
        elif _NAME.match(host):
            return str(IPv4Address(host)) if _NUMERIC.match(host) else host
    except ValueError:
        pass
    raise EgressRefused(
        Rule.SPELLING,
        "the host is not written as a plain name (`xn--…` for other letters), as four decimal "
        "numbers or as an IPv6 address in brackets",
    )


def target_of_url(url: str) -> Target:
    """Read the absolute form of a request's target (RFC 9112, 3.2.2).

    Raises:
        EgressRefused: it is no such URL, or holds a name or password for the host.
    """
    found = _URL.match(url)
    if found is None or not _is_plain(url):
        raise EgressRefused(Rule.SPELLING, "this is no absolute URL")
    scheme, authority, path = found[1].lower(), found[2], found[3]
    host, port = _split(authority)
    if port is None:
        port = SCHEMES.get(scheme, 0)
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def target_of_authority(authority: str) -> Target:
    """Read the target of a tunnel, `host:port` (RFC 9112, 3.2.3).

    Raises:
        EgressRefused: it is none.
    """
    host, port = _split(authority)
    if port is None or not _is_plain(authority):
        raise EgressRefused(Rule.SPELLING, "a tunnel leads to HOST:PORT")
    return Target("http" if port == SCHEMES["http"] else "https", host, port)


def _split(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise EgressRefused(Rule.SPELLING, "a URL may not hold a name or password for its host")
    found = _AUTHORITY.match(authority)
    if found is None:
        raise EgressRefused(Rule.SPELLING, "the port is no number, or the host is none")
    return host_of(found[1]), int(found[2]) if found[2] else None


def _is_plain(text: str) -> bool:
    """Tell whether all of it is visible ASCII."""
    return all("!" <= char <= "~" for char in text)


def _check_pattern(name: str, pattern: str) -> None:
    """Refuse a pattern that could never match, and one that isn't in its one spelling."""
    if pattern == "*":
        return
    host = pattern.removeprefix("*.")
    try:
        plain = host_of(f"[{host}]" if ":" in host else host)
    except EgressRefused as error:
        raise ConfigurationFault(f"{name}: {pattern!r} is no pattern: {error}") from None
    if plain != host:
        raise ConfigurationFault(f"{name}: write {plain!r} instead of {host!r}")
