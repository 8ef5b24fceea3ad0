"""The harness is found as ./dev bench finds it: its folder on the path."""

import sys

import pytest
from rows import BENCH, row

sys.path.insert(0, str(BENCH))


RUN = {"date": "2026-01-01 00:00", "commit": "abc subject", "versions": {"nginx": "nginx version: nginx/1"},
       "options": {"rounds": 3, "seconds": 1.0, "warmup": 0.3, "workers": 2, "origin_threads": 2, "load": "ringgate",
                   "congestion": "cubic", "isolated": True, "system_congestion": "bbr"}}


@pytest.fixture
def scenario():
    """Three rounds of everybody, in which ringgate is 1.5 times as fast as nginx, and HAProxy uses less CPU time."""
    return {"name": "keepalive-64", "title": "a title", "connections": 64, "active": None, "body": 0, "replica": "tcp",
            "kept": True, "seconds": 1.0, "floor_is_alike": True, "run": RUN,
            "phases": {"peak": None, "50%": 500.0}, "reference": {"label": "nginx", "rate": 1000.0},
            "rounds": {
                "ringgate": {"peak": [row(1500, 6), row(1650, 6), row(1350, 6)], "50%": [row(500, p99=700)] * 3},
                "nginx": {"peak": [row(1000, 12), row(1100, 12), row(900, 12)], "50%": [row(500, p99=1000)] * 3},
                "haproxy": {"peak": [row(800, 10), row(880, 10), row(720, 10)], "50%": [row(500, p99=900)] * 3},
                "floor": {"peak": [row(1600, 5)] * 3},
                "direct": {"peak": [row(3000, 5)] * 3},
            }}


@pytest.fixture
def results(scenario):
    return {**RUN, "machine": {"cpu": "a CPU", "cpus": 2, "virtual": True, "memory_mib": 4096, "governor": "none visible",
                               "kernel": "6.1", "distribution": "Debian", "mitigations": {"spectre_v2": "Mitigation: x"},
                               "load_before": 0.1},
            "scenarios": [scenario], "targets": []}
