"""What tests of the harness share."""

import pathlib

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"


def row(rate, cpu_us=10.0, p99=1000.0, **more):
    """One measurement, as measure.py makes it."""
    return {"requests": int(rate), "rate": float(rate), "errors": {"connect": 0}, "failed": 0,
            "latency_us": {"p50": p99 / 10, "p90": p99 / 5, "p99": p99, "p999": p99 * 2, "max": p99 * 3},
            "cpu_us": cpu_us, "user_us": cpu_us / 4, "system_us": cpu_us * 3 / 4, "proxy_cpus": 1.0, "load_share": 0.5,
            "load_cpu_us": 4.0, "origin_cpu_us": 6.0, "idle": 0.0, "others": 0.0, "behind": None,
            "saturated": False, "reconnects": 0, "backlog": None, "unrest": None, "mib_s": None, "cpu_us_mib": None, "enters": 0.5, "pss_kib": 4096, "log": None, **more}
