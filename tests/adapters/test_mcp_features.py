"""Resources, prompts, what a server asks for in the middle of a call, and what a call used."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.mcp_asks import ASKS_MAX, NO_HOST, Host, McpRefusal
from scripworld.adapters.mcp_outcome import (
    McpAnswer,
    McpCallError,
    McpCrashed,
    McpProtocolError,
    McpTimeout,
    Usage,
)
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient

SERVER = str(Path(__file__).with_name("servers") / "feature_server.py")
OLD = McpServerSpec(
    "feature",
    sys.executable,
    (SERVER,),
    start_timeout_s=40,
    call_timeout_s=20,
    grace_s=0.5,
    backoff_s=0.01,
)
MODERN = replace(OLD, args=(SERVER, "modern"))
BOTH_ERAS = pytest.mark.parametrize("spec", [OLD, MODERN], ids=["old", "modern"])
SAMPLING, ELICITATION = "sampling/createMessage", "elicitation/create"
TEXT = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "an idea"}}
FORM = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}


def run(
    spec: McpServerSpec, steps: Callable[[McpClient], Awaitable[None]], host: Host = NO_HOST
) -> None:
    async def main() -> None:
        client = McpClient(spec, host)
        try:
            await steps(client)
        finally:
            await client.close()

    asyncio.run(main())


def text_of(answer: McpAnswer) -> str:
    text = answer.result["content"][0]["text"]
    assert isinstance(text, str)
    return text


def value_of(answer: McpAnswer) -> Any:
    return json.loads(text_of(answer))


class Desk:
    """A host that answers all but what it is told to refuse or to think about for ever."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.open = 0
        self.open_max = 0
        self.cancelled = 0

    def host(self) -> Host:
        return Host(self.sample, self.elicit)

    async def sample(self, asker: Any, params: dict[str, Any]) -> dict[str, Any] | McpRefusal:
        self.asked.append((asker, params))
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        try:
            await asyncio.sleep(600 if params.get("wait") else params.get("delay_s", 0.05))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1
        if params.get("broken"):
            raise LookupError("no model")
        if params.get("unsayable"):
            return {"content": object()}
        return McpRefusal("too dear") if params.get("dear") else TEXT

    async def elicit(self, asker: Any, params: dict[str, Any]) -> dict[str, Any] | McpRefusal:
        self.asked.append((asker, params))
        if params["message"] == "Secret?":
            return McpRefusal("none of your business")
        return {"action": "accept", "content": {"name": asker}}


# What a server offers.


@BOTH_ERAS
def test_a_session_tells_what_its_server_offers(spec: McpServerSpec) -> None:
    async def steps(client: McpClient) -> None:
        assert client.capabilities == frozenset()
        await client.start()
        assert client.session is not None
        assert client.session.capabilities["tools"] == {"listChanged": True}
        assert client.capabilities == {"tools", "resources", "prompts"}

    run(spec, steps)


@BOTH_ERAS
def test_every_list_comes_from_all_pages_in_the_order_given(spec: McpServerSpec) -> None:
    async def steps(client: McpClient) -> None:
        answers = [
            ("resources", "uri", await client.list_resources()),
            ("resourceTemplates", "uriTemplate", await client.list_resource_templates()),
            ("prompts", "name", await client.list_prompts()),
        ]
        for key, member, answer in answers:
            entries = [entry[member] for entry in answer.result[key]]
            assert entries == [f"{key}:{page}:{n}" for page in range(3) for n in (2, 1)]
            assert list(answer.result) == [key]
            assert answer.usage.bytes_in > 300
        assert len(await client.list_tools()) == 6

    run(spec, steps)


@pytest.mark.parametrize(
    ("habit", "problem"),
    [("stuck", "doesn't advance"), ("long", "has over 100 pages"), ("odd", "isn't one")],
)
def test_a_list_without_an_end_or_a_form_is_a_protocol_error_with_its_bytes(
    habit: str, problem: str
) -> None:
    async def steps(client: McpClient) -> None:
        lists = [client.list_resources, client.list_resource_templates, client.list_prompts]
        for list_all in [client.list_tools, *lists]:
            with pytest.raises(McpProtocolError, match=f"its list of .* {problem}") as caught:
                await list_all()
            assert caught.value.bytes_in > 0
        assert value_of(await client.call_tool("echo", {"value": 1})) == 1

    run(replace(OLD, args=(SERVER, habit)), steps)


@BOTH_ERAS
def test_a_resource_is_read_and_a_prompt_filled_in(spec: McpServerSpec) -> None:
    async def steps(client: McpClient) -> None:
        resource = await client.read_resource("memo://1")
        assert resource.result["contents"] == [{"uri": "memo://1", "text": "read"}]
        prompt = await client.get_prompt("greet", {"who": "you"})
        params = json.loads(prompt.result["messages"][0]["content"]["text"])
        assert (params["name"], params["arguments"]) == ("greet", {"who": "you"})

    run(spec, steps)


def test_a_server_without_resources_says_so() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpCallError, match="no resources/read"):
            await client.read_resource("memo://1")

    legacy = str(Path(SERVER).with_name("legacy_server.py"))
    run(replace(OLD, args=(legacy,)), steps)


@BOTH_ERAS
def test_a_changed_list_of_tools_is_counted_over_all_sessions(spec: McpServerSpec) -> None:
    async def steps(client: McpClient) -> None:
        assert client.tools_changed == 0
        await client.call_tool("announces", {"count": 2})
        assert client.tools_changed == 2
        with pytest.raises(McpCrashed):
            await client.call_tool("crash", {})
        await client.call_tool("announces", {"count": 1})
        assert client.tools_changed == 3

    run(spec, steps)


# What a server asks for in the middle of a call.


@BOTH_ERAS
@pytest.mark.parametrize(
    ("sample", "elicit"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_a_server_is_told_of_what_the_host_offers(
    spec: McpServerSpec, sample: bool, elicit: bool
) -> None:
    async def steps(client: McpClient) -> None:
        offered = value_of(await client.call_tool("offered", {}))
        names = {"sampling": sample, "elicitation": elicit}
        assert offered == {
            "roots": {},
            **{name: {} for name, is_there in names.items() if is_there},
        }

    desk = Desk()
    host = Host(desk.sample if sample else None, desk.elicit if elicit else None)
    run(replace(spec, roots=("file:///data",)), steps, host)


def test_a_question_in_an_old_session_goes_to_the_asker_of_the_call_in_flight() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        asks = {"method": SAMPLING, "params": {"prompt": "a"}}
        assert value_of(await client.call_tool("asks", asks, asker="ann")) == [{"result": TEXT}]
        asks = {"method": ELICITATION, "params": FORM}
        accepted = {"action": "accept", "content": {"name": "bob"}}
        assert value_of(await client.call_tool("asks", asks, asker="bob")) == [{"result": accepted}]
        assert desk.asked == [("ann", {"prompt": "a"}), ("bob", FORM)]

    run(OLD, steps, desk.host())


def test_input_for_a_modern_call_comes_from_its_asker() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        requests = {
            "idea": {"method": SAMPLING, "params": {"prompt": "a"}},
            "form": {"method": ELICITATION, "params": FORM},
            "roots": {"method": "roots/list"},
        }
        needs = {"requests": requests, "rounds": 2}
        answer = await client.call_tool("needs", needs, asker="ann")
        assert value_of(answer) == {
            "idea": TEXT,
            "form": {"action": "accept", "content": {"name": "ann"}},
            "roots": {"roots": [{"uri": "file:///data"}]},
        }
        assert [asker for asker, _ in desk.asked] == ["ann"] * 4
        assert answer.usage.bytes_out > 1000

    run(replace(MODERN, roots=("file:///data",)), steps, desk.host())


@pytest.mark.parametrize(
    ("method", "params", "asker", "answer"),
    [
        (SAMPLING, {"dear": True}, "ann", (-1, "too dear")),
        (SAMPLING, {}, None, (-1, "nobody can be asked or charged")),
        (SAMPLING, [1], "ann", (-1, "is not offered")),
        (SAMPLING, {"text": "x" * 1_100_000}, "ann", (-1, "over 1048576 bytes")),
        (ELICITATION, {"message": "Secret?"}, "ann", None),
        (ELICITATION, FORM, None, None),
        (ELICITATION, {**FORM, "mode": "url", "url": "https://x.example"}, "ann", None),
        (ELICITATION, None, "ann", None),
    ],
)
def test_a_refused_question_is_answered_at_once(
    method: str, params: object, asker: Any, answer: tuple[int, str] | None
) -> None:
    async def steps(client: McpClient) -> None:
        asks = {"method": method, "params": params}
        [said] = value_of(await client.call_tool("asks", asks, asker=asker))
        if answer is None:
            assert said == {"result": {"action": "decline"}}
        else:
            assert said["error"]["code"] == answer[0]
            assert answer[1] in said["error"]["message"]

    run(OLD, steps, Desk().host())


def test_a_refused_sampling_fails_a_modern_call_and_a_refused_form_does_not() -> None:
    async def steps(client: McpClient) -> None:
        requests: dict[str, Any] = {"form": {"method": ELICITATION, "params": FORM}}
        answer = await client.call_tool("needs", {"requests": requests})
        assert value_of(answer) == {"form": {"action": "decline"}}
        requests["idea"] = {"method": SAMPLING, "params": {"dear": True}}
        for asker, reason in (("ann", "was refused: too dear"), (None, "nobody can be asked")):
            with pytest.raises(McpProtocolError, match=reason) as caught:
                await client.call_tool("needs", {"requests": requests}, asker=asker)
            assert caught.value.bytes_in > 100

    run(MODERN, steps, Desk().host())


def test_a_question_of_an_older_server_is_charged_to_its_caller_however_many_call() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        asks = {"method": SAMPLING, "params": {}}
        calls = (client.call_tool("asks", asks, asker=name) for name in ("ann", "bob", "cid"))
        for [said] in map(value_of, await asyncio.gather(*calls)):
            assert said == {"result": TEXT}
        assert sorted(asker for asker, *_ in desk.asked) == ["ann", "bob", "cid"]

    run(OLD, steps, desk.host())


def test_beside_a_call_that_nobody_pays_for_nobody_is_charged() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        await client.start()
        other = asyncio.create_task(client.call_tool("later", {"delay_s": 0.5}))
        await asyncio.sleep(0.1)
        for method, params in ((SAMPLING, {}), (ELICITATION, FORM)):
            asks = {"method": method, "params": params}
            [said] = value_of(await client.call_tool("asks", asks, asker="ann"))
            assert said["error"]["code"] == -1
            assert "2 requests are in flight: nobody can be charged" in said["error"]["message"]
        await other
        assert desk.asked == []

    run(OLD, steps, desk.host())


def test_a_flood_of_questions_is_bounded_at_one_time_and_in_all() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        asks = {"method": SAMPLING, "params": {}, "count": 50}
        said = value_of(await client.call_tool("asks", asks, asker="ann"))
        assert [answer for answer in said if "result" in answer] == [{"result": TEXT}] * 4
        assert len(said) == 50
        assert desk.open_max == 4
        many = {str(n): {"method": SAMPLING, "params": {}} for n in range(ASKS_MAX + 1)}
        with pytest.raises(McpProtocolError, match="17 inputs at once"):
            await client.call_tool("needs", {"requests": many}, asker="ann")
        four = {str(n): {"method": SAMPLING, "params": {}} for n in range(4)}
        assert len(value_of(await client.call_tool("needs", {"requests": four}, asker="ann"))) == 4
        four["5"] = four["0"]
        with pytest.raises(McpProtocolError, match="4 at a time and 16 in all"):
            await client.call_tool("needs", {"requests": four}, asker="ann")

    run(OLD, steps, desk.host())


def test_while_a_question_is_open_only_the_hard_maximum_counts() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        await client.start()
        asks = {"method": SAMPLING, "params": {"delay_s": 1.0}}
        answer = await client.call_tool("asks", asks, timeout_s=0.5, asker="ann")
        assert value_of(answer) == [{"result": TEXT}]
        asks = {"method": SAMPLING, "params": {"wait": True}}
        with pytest.raises(McpTimeout, match=r"not answered within 2 s"):
            await client.call_tool("asks", asks, timeout_s=0.5, asker="ann")
        await asyncio.sleep(0.05)
        assert (desk.open, desk.cancelled) == (0, 1)
        heard = value_of(await client.call_tool("heard", {}))
        assert heard[-1]["method"] == "notifications/cancelled"

    run(replace(OLD, call_timeout_max_s=2.0), steps, desk.host())


def test_input_for_a_modern_call_ends_at_the_hard_maximum() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        await client.start()
        requests = {"idea": {"method": SAMPLING, "params": {"delay_s": 0.8}}}
        needs = {"requests": requests}
        answer = await client.call_tool("needs", needs, timeout_s=0.5, asker="ann")
        assert value_of(answer) == {"idea": TEXT}
        requests["idea"]["params"] = {"wait": True}
        with pytest.raises(McpTimeout, match="what it asked for was not answered") as caught:
            await client.call_tool("needs", needs, timeout_s=0.5, asker="ann")
        assert caught.value.bytes_in > 0
        assert (desk.open, desk.cancelled) == (0, 1)

    run(replace(MODERN, call_timeout_max_s=2.0), steps, desk.host())


@BOTH_ERAS
def test_a_cancelled_call_cancels_its_questions(spec: McpServerSpec) -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        await client.start()
        params = {"wait": True}
        if spec is OLD:
            call = client.call_tool("asks", {"method": SAMPLING, "params": params}, asker="ann")
        else:
            requests = {"idea": {"method": SAMPLING, "params": params}}
            call = client.call_tool("needs", {"requests": requests}, asker="ann")
        task = asyncio.create_task(call)
        while not desk.open:
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0.05)
        assert (desk.open, desk.cancelled) == (0, 1)
        assert value_of(await client.call_tool("echo", {"value": 1})) == 1

    run(spec, steps, desk.host())


def test_a_question_of_a_call_that_is_over_is_cancelled_and_answered() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        assert value_of(await client.call_tool("leaves", {}, asker="ann")) == "left"
        await asyncio.sleep(0.1)
        heard = value_of(await client.call_tool("heard", {}))
        assert heard[-1]["id"] == "left"
        assert heard[-1]["error"]["message"] == "the call is over"
        assert desk.cancelled == 1

    run(OLD, steps, desk.host())


def test_a_question_that_the_server_takes_back_gets_no_answer() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        assert value_of(await client.call_tool("withdraws", {}, asker="ann")) == "withdrawn"
        heard = value_of(await client.call_tool("heard", {}))
        assert [message for message in heard if message.get("id") == "withdrawn"] == []
        assert desk.open == 0

    run(OLD, steps, desk.host())


@pytest.mark.parametrize(
    ("params", "trouble"), [({"broken": True}, LookupError), ({"unsayable": True}, TypeError)]
)
@BOTH_ERAS
def test_what_the_host_raises_is_raised_by_the_call(
    spec: McpServerSpec, params: dict[str, Any], trouble: type[Exception]
) -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(trouble):
            if spec is OLD:
                await client.call_tool("asks", {"method": SAMPLING, "params": params}, asker="ann")
            else:
                requests = {"idea": {"method": SAMPLING, "params": params}}
                await client.call_tool("needs", {"requests": requests}, asker="ann")
        assert value_of(await client.call_tool("echo", {"value": 1})) == 1

    run(spec, steps, Desk().host())


def test_a_crash_with_a_question_open_cancels_it() -> None:
    desk = Desk()

    async def steps(client: McpClient) -> None:
        await client.start()
        asks = {"method": SAMPLING, "params": {"wait": True}}
        call = asyncio.create_task(client.call_tool("asks", asks, asker="ann"))
        while not desk.open:
            await asyncio.sleep(0.02)
        with pytest.raises(McpCrashed):
            await client.call_tool("crash", {})
        with pytest.raises(McpCrashed):
            await call
        await asyncio.sleep(0.05)
        assert (desk.open, desk.cancelled) == (0, 1)

    run(OLD, steps, desk.host())


# The official SDK's idea of all this.


def test_a_server_made_with_the_official_sdk_offers_and_gets_everything() -> None:
    async def sample(asker: Any, params: dict[str, Any]) -> dict[str, Any]:
        said = params["messages"][0]["content"]["text"]
        return {**TEXT, "content": {"type": "text", "text": f"{said} for {asker}"}}

    async def steps(client: McpClient) -> None:
        assert text_of(await client.call_tool("write", {}, asker="ann")) == (
            "m: A line on ann for ann"
        )
        resources = (await client.list_resources()).result["resources"]
        assert [resource["uri"] for resource in resources] == ["memo://first"]
        templates = (await client.list_resource_templates()).result["resourceTemplates"]
        assert [template["uriTemplate"] for template in templates] == ["memo://{name}/text"]
        read = await client.read_resource("memo://second/text")
        assert read.result["contents"][0]["text"] == "the memo second"
        prompts = (await client.list_prompts()).result["prompts"]
        assert [prompt["name"] for prompt in prompts] == ["greet"]
        prompt = await client.get_prompt("greet", {"who": "ann"})
        assert prompt.result["messages"][0]["content"]["text"] == "Greet ann."
        assert [tool["name"] for tool in await client.list_tools()] == ["grow", "write"]
        await client.call_tool("grow", {})
        for _ in range(100):
            if client.tools_changed:
                break
            await asyncio.sleep(0.05)
        assert client.tools_changed == 1
        assert len(await client.list_tools()) == 3

    offering = str(Path(SERVER).with_name("offering_server.py"))
    spec = replace(OLD, args=(offering,), grace_s=2.0)
    run(spec, steps, Host(sample, Desk().elicit))


# What a call used.


def assert_used(usage: Usage) -> None:
    assert usage.bytes_out > 50
    assert usage.memory_peak_bytes > 1_000_000
    assert usage.wall_us >= usage.cpu_us // 2


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is measured elsewhere")
def test_every_outcome_tells_what_it_used() -> None:
    async def steps(client: McpClient) -> None:
        answer = await client.call_tool("burn", {"cpu_s": 0.2})
        assert_used(answer.usage)
        assert 200_000 <= answer.usage.cpu_us < 400_000
        assert answer.usage.wall_us >= 190_000
        assert answer.bytes_in == answer.usage.bytes_in > 50
        assert set(answer.usage.as_dict()) == {
            *("bytes_out", "bytes_in", "cpu_us", "memory_peak_bytes", "wall_us")
        }
        with pytest.raises(McpTimeout) as late:
            await client.call_tool("burn", {"cpu_s": 3.0}, timeout_s=1.0)
        assert_used(late.value.usage)
        assert 100_000 <= late.value.usage.cpu_us < 3_000_000
        assert late.value.usage.wall_us >= 990_000
        await client.call_tool("echo", {})
        with pytest.raises(McpCrashed) as crashed:
            await client.call_tool("crash", {})
        assert_used(crashed.value.usage)

    run(OLD, steps)


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is measured elsewhere")
def test_calls_side_by_side_share_the_cpu_time() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        calls = [client.call_tool("burn", {"cpu_s": 0.1}) for _ in range(4)]
        answers = await asyncio.gather(*calls)
        shares_us = [answer.usage.cpu_us for answer in answers]
        assert 400_000 <= sum(shares_us) < 700_000
        assert shares_us == sorted(shares_us)
        assert shares_us[0] < 60_000  # a quarter of the first one's time
        assert shares_us[-1] > 180_000

    run(OLD, steps)


# The order of things.


def test_a_call_that_comes_while_the_session_opens_waits_for_it() -> None:
    async def steps(client: McpClient) -> None:
        first = asyncio.create_task(client.start())
        while client.pid is None:
            await asyncio.sleep(0.01)
        assert client.session is None
        answer = await client.call_tool("log", {})
        assert client.session is not None
        sent = json.loads(answer.result["content"][0]["text"])
        assert [note["method"] for note in sent] == ["notifications/initialized"]
        await first
        assert client.starts == 1

    legacy = str(Path(SERVER).with_name("legacy_server.py"))
    run(replace(OLD, args=(legacy, "slow")), steps)
