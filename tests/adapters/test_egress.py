"""The policy on what goes out: hosts, addresses and heads, in every spelling."""

import dataclasses
import json
import stat
import string
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scripworld.adapters.egress import (
    METADATA_ADDRESSES,
    Address,
    EgressPolicy,
    EgressRefused,
    Rule,
    Target,
    embedded,
    host_of,
    kind_of,
    matches,
    target_of_authority,
    target_of_url,
)
from scripworld.adapters.egress_http import (
    Halted,
    Trouble,
    passed_request,
    request_of,
    whole_answer,
)
from scripworld.adapters.egress_log import EgressEvent, EgressLog, utc_now
from scripworld.world import ConfigurationFault

OPEN = EgressPolicy()
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z][a-z0-9]{0,8}){0,3}", fullmatch=True)


def refused(policy: EgressPolicy, url: str, *addresses: str) -> Rule | None:
    """By which rule a URL whose host has these addresses is refused."""
    try:
        target = target_of_url(url)
        policy.check(target)
        policy.check_addresses(target.host, map(ip_address, addresses or [target.host]))
    except EgressRefused as error:
        return error.rule
    return None


# Addresses.


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1"),
        *("127.255.255.254", "169.254.169.254", "169.254.1.1", "172.16.0.1", "172.31.255.255"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("168.63.129.16", "100.100.100.200", "::", "::1", "fc00::1", "fd00:ec2::254"),
        *("fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1"),
        *("::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1"),
        *("2002:7f00:1::", "2002:808:808::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("64:ff9b:1::808:808", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "4000::1"),
    ],
)
def test_what_is_not_public_may_not_be_reached(address: str):
    with pytest.raises(EgressRefused) as error:
        OPEN.check_addresses("name.test", [ip_address(address)])

    assert error.value.rule is Rule.PRIVATE_ALLOWED
    assert "name.test is at " in str(error.value)
    assert str(error.value).endswith("can add it to `private_allowed`")


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1"),
        *("169.253.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_what_is_public_may_be_reached(address: str):
    OPEN.check_addresses("name.test", [ip_address(address)])


@given(V4 | V6)
def test_nothing_is_called_public_that_the_standard_library_knows_to_be_private(address: Address):
    if kind_of(address) is None:
        plain = embedded(address)
        assert plain.is_global
        assert not plain.is_multicast
        assert not plain.is_reserved


@given(V4)
def test_an_embedded_address_is_judged_as_itself(address: IPv4Address):
    mapped = IPv6Address(f"::ffff:{address}")
    translated = IPv6Address(f"64:ff9b::{address}")

    assert kind_of(mapped) == kind_of(translated) == kind_of(address)
    for old in (f"::{address}", f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1"):
        assert kind_of(IPv6Address(old)) is not None


@given(st.lists(V4 | V6, max_size=4), st.integers(0, 4), st.sampled_from(["10.1.2.3", "::1"]))
def test_one_bad_address_spoils_a_name(addresses: list[Address], place: int, bad: str):
    addresses.insert(place, ip_address(bad))

    with pytest.raises(EgressRefused):
        OPEN.check_addresses("name.test", addresses)


def test_a_network_an_address_and_a_host_may_be_opened_and_nothing_beside_them():
    policy = EgressPolicy(private_allowed=("10.1.0.0/16", "192.168.0.7", "*.corp.test"))

    assert refused(policy, "http://a.test/", "10.1.2.3") is None
    assert refused(policy, "http://a.test/", "::ffff:10.1.2.3") is None
    assert refused(policy, "http://a.test/", "10.2.0.1") is Rule.PRIVATE_ALLOWED
    assert refused(policy, "http://192.168.0.7/") is None
    assert refused(policy, "http://192.168.0.8/") is Rule.PRIVATE_ALLOWED
    assert refused(policy, "http://a.corp.test/", "172.16.0.1", "::1") is None
    assert refused(policy, "http://corp.test/", "172.16.0.1") is Rule.PRIVATE_ALLOWED


@pytest.mark.parametrize("address", sorted(map(str, METADATA_ADDRESSES)))
def test_no_name_opens_a_metadata_service_but_a_network_does(address: str):
    named = EgressPolicy(private_allowed=("*",))
    network = EgressPolicy(private_allowed=(f"{ip_network(address)}",))

    assert refused(named, "http://harmless.test/", address) is Rule.PRIVATE_ALLOWED
    assert refused(network, "http://harmless.test/", address) is None


@pytest.mark.parametrize("host", ["metadata", "metadata.google.internal.", "METADATA.goog"])
def test_a_metadata_service_is_known_by_name_too(host: str):
    assert refused(OPEN, f"http://{host}/", "8.8.8.8") is Rule.PRIVATE_ALLOWED


# Hosts.


@pytest.mark.parametrize(
    "url",
    [
        *("http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/"),
        *("http://0x7f000001/", "http://0x/", "http://1.2.3.4.5/", "http://1.2.3.256/"),
        *("http://1.2.3.08/", "http://127.0.0.1.0x0/", "http://a.0x10/", "http://.0177.0.0.1/"),
        *("http://a..b/", "http://example.org../", "http://./", "http:///", "http://-a.test/"),
        *("http://[fe80::1%25eth0]/", "http://[::1", "http://::1/", "http://[127.0.0.1]/"),
        *("http://[v1.a]/", "http://a%2eb/", "http://a_b%00/", "http://a\\@b/", "http://a\\b/"),
        *("http://user@127.0.0.1/", "http://a:b@example.org/", "http://example.org@evil.test/"),
        *("http://１２７.0.0.1/", "http://①②⑦.0.0.1/", "http://bücher.test/", "http://a。b/"),
        *("http://\u212aube.test/", "http://a\u00adb.test/", "http://a b/", "http://a\tb/"),
        *("http://a:b/", "http://a:١/", "http://a:-1/", "http://a:1:2/", "http://a:123456/"),
        *("//a/", "/path", "*", "", "a.test:80", "http:a.test", "http://a\r\nb/", "http://a/\r\n"),
        *("http://" + "a" * 64 + ".test/", "http://" + "a." * 130 + "test/"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str):
    assert refused(OPEN, url, "8.8.8.8") is Rule.SPELLING


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://EXAMPLE.org", "example.org", 80, "/"),
        ("HTTP://example.org.:8080?a#b", "example.org", 8080, "/?a"),
        ("https://a_b.xn--bcher-kva.test/c@d:e", "a_b.xn--bcher-kva.test", 443, "/c@d:e"),
        ("http://1.2.3.4/", "1.2.3.4", 80, "/"),
        ("http://1.2.3.4./", "1.2.3.4", 80, "/"),
        ("http://[2001:DB8:0:0::1]:81/%2e", "2001:db8::1", 81, "/%2e"),
        ("http://3com.test/", "3com.test", 80, "/"),
    ],
)
def test_a_plain_url_is_read(url: str, host: str, port: int, path: str):
    target = target_of_url(url)

    assert (target.host, target.port, target.path) == (host, port, path)


@given(st.text(max_size=40) | st.text(string.printable, max_size=40))
@example("a@b:1")
def test_no_text_leads_anywhere_but_to_a_plain_host_or_a_refusal(text: str):
    for read, asked in (
        (target_of_url, f"http://{text}"),
        (target_of_url, text),
        (target_of_authority, text),
    ):
        try:
            target = read(asked)
        except EgressRefused:
            continue
        assert host_of(f"[{target.host}]" if ":" in target.host else target.host) == target.host
        assert set(target.host) <= set(string.ascii_lowercase + string.digits + ".-_:")


@given(V4 | V6, st.integers(1, 65535))
def test_an_address_is_read_as_the_address_that_it_is(address: Address, port: int):
    shown = f"[{address}]" if address.version == 6 else str(address)

    assert ip_address(target_of_url(f"http://{shown}:{port}/").host) == address
    assert ip_address(target_of_authority(f"{shown}:{port}").host) == address


@given(V4, st.data())
def test_an_address_in_any_other_base_is_refused(address: IPv4Address, data: st.DataObject):
    whole = int(address)
    other = data.draw(
        st.sampled_from(
            [
                *(str(whole), hex(whole), f"0{whole:o}", ".".join(map(hex, address.packed))),
                *(f"{address}".replace(".", ".0"), f"0{address}", f"{whole >> 24}.{whole % 2**24}"),
            ]
        )
    )

    assert refused(OPEN, f"http://{other}/") is Rule.SPELLING


def test_a_target_does_not_show_its_path():
    target = target_of_url("http://a.test/?token=secret")

    assert "secret" not in repr(target)


@pytest.mark.parametrize(
    ("authority", "scheme"),
    [("a.test:80", "http"), ("a.test:443", "https"), ("[::1]:8443", "https")],
)
def test_a_tunnel_has_a_host_and_a_port(authority: str, scheme: str):
    target = target_of_authority(authority)

    assert target.scheme == scheme
    assert target.authority == authority.removesuffix(":80").removesuffix(":443")


@pytest.mark.parametrize("authority", ["a.test", "a.test:", "http://a.test:80/", ":80", "a:b@c:80"])
def test_no_other_tunnel_is_dug(authority: str):
    with pytest.raises(EgressRefused):
        target_of_authority(authority)


# The other rules.


def test_schemes_ports_and_hosts_are_those_of_the_policy():
    policy = EgressPolicy(
        schemes=("https",),
        ports=(443, 8443),
        hosts_allowed=("example.org", "*.example.org", "8.8.8.8"),
        hosts_denied=("bad.example.org",),
    )

    assert refused(policy, "https://example.org/", "8.8.8.8") is None
    assert refused(policy, "https://a.b.example.org:8443/", "8.8.8.8") is None
    assert refused(policy, "https://8.8.8.8/") is None
    assert refused(policy, "http://example.org:443/", "8.8.8.8") is Rule.SCHEMES
    assert refused(policy, "ftp://example.org:443/", "8.8.8.8") is Rule.SCHEMES
    assert refused(policy, "https://example.org:444/", "8.8.8.8") is Rule.PORTS
    assert refused(policy, "https://example.org:0/", "8.8.8.8") is Rule.PORTS
    assert refused(policy, "https://badexample.org/", "8.8.8.8") is Rule.HOSTS_ALLOWED
    assert refused(policy, "https://example.org.evil.test/", "8.8.8.8") is Rule.HOSTS_ALLOWED
    assert refused(policy, "https://8.8.4.4/") is Rule.HOSTS_ALLOWED
    assert refused(policy, "https://BAD.example.org./", "8.8.8.8") is Rule.HOSTS_DENIED


@given(NAMES, NAMES)
def test_a_pattern_means_what_is_below_it_and_not_itself(name: str, below: str):
    assert matches(name, [name])
    assert matches(f"{below}.{name}", [f"*.{name}"])
    assert not matches(name, [f"*.{name}"])
    assert not matches(f"{below}{name}", [f"*.{name}"])
    assert matches(name, ["*"])
    assert not matches(name, [])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schemes": ("ftp",)}, "schemes: 'ftp' is neither"),
        ({"ports": (0,)}, "ports: 0 is not between"),
        ({"ports": (65_536,)}, "ports: 65536"),
        ({"hosts_allowed": ("Example.org",)}, "hosts_allowed: write 'example.org' instead of"),
        ({"hosts_allowed": ("http://a.test",)}, "hosts_allowed: 'http://a.test' is no pattern"),
        ({"hosts_denied": ("*evil.test",)}, "hosts_denied: '[*]evil.test' is no pattern"),
        ({"hosts_denied": ("0x7f.1",)}, "hosts_denied"),
        ({"private_allowed": ("10.0.0.1/8",)}, "private_allowed: 10.0.0.1/8 has host bits set"),
        ({"private_allowed": ("FD00::1",)}, "private_allowed: write 'fd00::1'"),
        ({"response_bytes_max": 0}, "response_bytes_max is under 1"),
        ({"connections_max": 0}, "connections_max is under 1"),
        ({"idle_timeout_s": float("nan")}, "idle_timeout_s is not above 0"),
        ({"connect_timeout_s": 0}, "connect_timeout_s is not above 0"),
    ],
)
def test_a_policy_that_can_not_be_meant_is_named(settings: dict[str, object], words: str):
    with pytest.raises(ConfigurationFault, match=words):
        EgressPolicy(**settings)  # type: ignore[arg-type]


# Heads.


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


def read(data: bytes) -> h11.Request:
    return request_of(data, h11.Connection(h11.SERVER))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("POST http://a/ HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 1"), 400),
        (head("POST http://a/ HTTP/1.1", "Host: a", "Content-Length: 1, 1"), 400),
        (head("POST http://a/ HTTP/1.1", "Host: a", "Content-Length: +1"), 400),
        (head("POST http://a/ HTTP/1.1", "Host: a", "Content-Length : 1"), 400),
        (
            head("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"),
            400,
        ),
        (
            head(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "transfer-encoding: x"
            ),
            400,
        ),
        (head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"), 400),
        (head("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400),
        (head("GET / HTTP/1.1", "Host: a", "X: 1", " folded"), 400),
        (head("GET / HTTP/1.1", "Host: a", "X: 1\nY: 2"), 400),
        (head("GET / HTTP/1.1", "Host: a", "X: 1\rY: 2"), 400),
        (head("GET / HTTP/1.1", "Host: a", "X: \0"), 400),
        (head("GET / HTTP/1.1", "Host: a", "Host: b"), 400),
        (head("GET / HTTP/1.1"), 400),
        (head("GET / HTTP/2.0", "Host: a"), 400),
        (head("GET /\x7f HTTP/1.1", "Host: a"), 400),
        (head("GET /", "Host: a"), 400),
        (head("", "GET / HTTP/1.1", "Host: a"), 400),
        (head("TRACE / HTTP/1.1", "Host: a"), 405),
        (head("get / HTTP/1.1", "Host: a"), 405),
        (b"\r\n\r\n", 400),
        (b"\r\n", 400),
    ],
)
def test_a_head_that_two_programs_could_read_differently_is_refused(data: bytes, status: int):
    with pytest.raises(Halted) as error:
        read(data)

    assert error.value.status == status


@given(st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n"))
def test_no_head_is_anything_but_read_or_refused(data: bytes):
    try:
        request = read(data)
    except Halted:
        return
    assert request.method


def test_a_request_is_written_anew_for_the_other_side():
    request = read(
        head(
            "POST http://A.test:80/p?q HTTP/1.1",
            "Host: elsewhere.test",
            "Proxy-Authorization: Basic secret",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Hop, Content-Length",
            "X-Hop: 1",
            "TE: trailers",
            "Upgrade: h2c",
            "Content-Length: 3",
            "Cookie: a=b",
        )
    )

    passed = passed_request(request, target_of_url(request.target.decode()))

    assert passed.target == b"/p?q"
    assert sorted(passed.headers) == [
        (b"connection", b"close"),
        (b"content-length", b"3"),
        (b"cookie", b"a=b"),
        (b"host", b"a.test"),
    ]


def test_an_answer_to_head_has_no_body():
    whole, bare = (whole_answer(method, 403, b"why", reason="ports") for method in ("GET", "HEAD"))

    assert whole == bare + b"why"
    assert whole.startswith(b"HTTP/1.1 403 Forbidden (ports)\r\n")
    assert b"Content-Length: 3\r\n" in bare


# The page about it.


PAGE = Path(__file__).parents[2] / "docs" / "architecture" / "egress.md"


@pytest.mark.parametrize(
    "words",
    [
        [field.name for field in dataclasses.fields(EgressPolicy)],
        list(EgressEvent.__struct_fields__),
        [*Rule, *Trouble],
        sorted(map(str, METADATA_ADDRESSES)),
    ],
)
def test_the_page_names_every_setting_field_and_reason(words: list[str]):
    page = PAGE.read_text(encoding="utf-8")

    assert [word for word in words if f"`{word}`" not in page] == []


# The log.


def test_a_line_says_what_was_asked_for_and_what_became_of_it(tmp_path: Path):
    log = EgressLog(tmp_path / "egress.jsonl")
    log.write(EgressEvent(utc_now(), "fetch", "GET", "http", "a.test", 80, "8.8.8.8", status=200))

    line = json.loads((tmp_path / "egress.jsonl").read_text())

    assert line["time"].endswith("Z")
    assert {key: line[key] for key in ("server", "host", "verdict", "reason", "ms")} == {
        "server": "fetch",
        "host": "a.test",
        "verdict": "allowed",
        "reason": "",
        "ms": 0,
    }
    assert stat.S_IMODE((tmp_path / "egress.jsonl").stat().st_mode) == 0o600


def test_logs_that_share_a_file_stay_within_twice_the_bound_and_say_what_is_gone(tmp_path: Path):
    path = tmp_path / "egress.jsonl"
    logs = [EgressLog(path, 2_000), EgressLog(path, 2_000)]
    for number in range(100):
        logs[number % 2].write(EgressEvent("", "fetch", port=number))

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    before = [json.loads(line) for line in (tmp_path / "egress.jsonl.1").read_text().splitlines()]
    kept = [line["port"] for line in before + lines if "port" in line]
    assert kept == list(range(kept[0], 100))
    assert 0 < kept[0] < 100
    assert "lines before this one are gone" in before[0]["note"]
    assert path.stat().st_size < 2_100


def test_a_line_that_can_not_be_written_is_noted_later(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    log = EgressLog(folder / "egress.jsonl")
    folder.rename(tmp_path / "away")
    log.write(EgressEvent("", "fetch"))
    log.write(EgressEvent("", "fetch"))
    (tmp_path / "away").rename(folder)
    log.write(EgressEvent("", "fetch", port=3))

    note, line = map(json.loads, (folder / "egress.jsonl").read_text().splitlines())
    assert note["note"] == "2 lines before this one are gone"
    assert line["port"] == 3


def test_a_log_that_can_not_be_opened_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationFault, match="can't be written: No such file"):
        EgressLog(tmp_path / "nowhere" / "egress.jsonl")


def test_the_host_header_of_an_address_has_brackets():
    assert Target("http", "2001:db8::1", 80).authority == "[2001:db8::1]"
    assert Target("http", "2001:db8::1", 8080).authority == "[2001:db8::1]:8080"
