"""gRPC end to end: its own client and server, the gateway between them, over HTTP/2 on both sides."""

import queue
from concurrent import futures

import pytest

from lib import env, tls

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")

SERVICE = "test.Echo"


def raw(data):
    return data


def unary(request, context):
    if request == b"refuse":
        context.set_trailing_metadata((("why", "told to"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "refused, as was asked")
    context.send_initial_metadata((("seen", dict(context.invocation_metadata()).get("x-test", "")),))
    context.set_trailing_metadata((("length", str(len(request))),))
    return request[::-1]


def count(request, context):
    for i in range(int(request)):
        yield str(i).encode()


def gather(requests, context):
    return b"+".join(requests)


def talk(requests, context):
    for request in requests:
        yield b"you said " + request


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary, raw, raw),
    "Count": grpc.unary_stream_rpc_method_handler(count, raw, raw),
    "Gather": grpc.stream_unary_rpc_method_handler(gather, raw, raw),
    "Talk": grpc.stream_stream_rpc_method_handler(talk, raw, raw),
}


@pytest.fixture(scope="module")
def replica():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, METHODS),))
    port = env.free_port()
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(scope="module", params=["clear", "tls"])
def channel(request, replica, shared, tmp_path_factory):
    config = {"replica": {"protocol": "h2c"}}
    address = f"127.0.0.1:{env.free_port()}"
    if request.param == "clear":
        shared.gateway(replica, config, listen=[address], workers=2)
        made = grpc.insecure_channel(address)
    else:
        own = tls.Certificate(tmp_path_factory.mktemp("own"), "localhost", ["localhost"])
        config["listeners"] = [tls.listener(address, own)]
        shared.gateway(replica, config, listen=[address], workers=2)
        with open(own.cert, "rb") as f:
            made = grpc.secure_channel(address, grpc.ssl_channel_credentials(f.read()),
                                       (("grpc.ssl_target_name_override", "localhost"),))
    with made:
        yield made


def path(method):
    return f"/{SERVICE}/{method}"


def test_unary_with_metadata(channel):
    call = channel.unary_unary(path("Unary"), raw, raw)
    answer, details = call.with_call(b"abc", metadata=(("x-test", "here"),), timeout=env.scaled(10))
    assert answer == b"cba"
    assert dict(details.initial_metadata())["seen"] == "here"
    assert dict(details.trailing_metadata())["length"] == "3"


def test_status_and_its_trailers(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(path("Unary"), raw, raw)(b"refuse", timeout=env.scaled(10))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == "refused, as was asked"
    assert dict(refused.value.trailing_metadata())["why"] == "told to"


def test_unknown_method(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(path("None"), raw, raw)(b"", timeout=env.scaled(10))
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_large_messages(channel):
    big = bytes(range(256)) * 12000
    assert channel.unary_unary(path("Unary"), raw, raw)(big, timeout=env.scaled(20)) == big[::-1]


def test_server_streams(channel):
    got = list(channel.unary_stream(path("Count"), raw, raw)(b"500", timeout=env.scaled(20)))
    assert got == [str(i).encode() for i in range(500)]


def test_client_streams(channel):
    got = channel.stream_unary(path("Gather"), raw, raw)((str(i).encode() for i in range(500)), timeout=env.scaled(20))
    assert got == b"+".join(str(i).encode() for i in range(500))


def test_conversation(channel):
    """Each word is answered before the next is said: nothing is held back on the way."""
    words = queue.Queue()
    answers = channel.stream_stream(path("Talk"), raw, raw)(iter(words.get, None), timeout=env.scaled(20))
    for word in (b"one", b"two", b"three"):
        words.put(word)
        assert next(answers) == b"you said " + word
    words.put(None)
    assert list(answers) == []


def test_many_at_once(channel):
    call = channel.unary_unary(path("Unary"), raw, raw)
    started = [call.future(str(i).encode(), timeout=env.scaled(20)) for i in range(300)]
    assert [f.result() for f in started] == [str(i).encode()[::-1] for i in range(300)]


def test_client_that_gives_up(channel):
    words = queue.Queue()
    answers = channel.stream_stream(path("Talk"), raw, raw)(iter(words.get, None), timeout=env.scaled(20))
    words.put(b"hello")
    assert next(answers) == b"you said hello"
    answers.cancel()
    words.put(None)
    assert channel.unary_unary(path("Unary"), raw, raw)(b"on", timeout=env.scaled(10)) == b"no"
