"""What idle connections over TLS cost: keys, and nothing else of the session that was agreed on."""

import pytest

from lib import env, tls
from lib.idle_clients import IdleClients

MOST = 5 * 1024  # bytes of the process's memory for each


@pytest.mark.parametrize("n,most,how", [(2_000, MOST, ["tls1.2"]), (10_000, MOST, ["tls1.3"]),
                                        (10_000, MOST + 8 * 1024, ["tls1.3", "h2"])], ids=lambda v: "-".join(v) if isinstance(v, list) else "")
def test_idle_connections_cost_little(programs, tmp_path, n, most, how):
    """One in the clear takes 1 KiB. Those of HTTP/2 may cost 8 KiB more."""
    n = n if not env.SANITIZER else 400
    address = f"127.0.0.1:{env.free_port()}"
    config = {"listeners": [tls.listener(address, tls.Certificate(tmp_path, "idle", ["a.example"]))]}
    gateway = programs.gateway(programs.origin().address, config, listen=[address], workers=2)
    with IdleClients(gateway, 100, *how):
        pass
    gateway.wait_metric(0, "ringgate_connections_open", 15)
    before = gateway.rss_bytes()
    with IdleClients(gateway, n, *how, processes=2):
        gateway.wait_metric(n, "ringgate_tls_connections_open")
        each = lambda: (gateway.rss_bytes() - before) / n
        if not env.SANITIZER:  # what is held for streams goes back some time after they have ended
            env.wait_until(lambda: each() <= most, 5, f"at most {most} bytes a connection (now {each():.0f})")
            print(f"an idle connection over {' '.join(how)} costs {each():.0f} bytes")
        env.wait_until(lambda: gateway.process.cpu_share(0.5) < 0.1, 10, "idle connections to use no CPU")
        gateway.wait_metric(n if "h2" in how else 0, "ringgate_http2_connections_open")
    gateway.wait_metric(0, "ringgate_tls_connections_open", 15)
    gateway.wait_metric(0, "ringgate_connections_open", 15)
