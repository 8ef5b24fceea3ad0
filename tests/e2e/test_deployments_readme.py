"""The README's way from nothing to an API that is live, to one that fails with its reason, and back: its very commands."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from lib import env

pytestmark = pytest.mark.skipif(not (env.PLATFORM and env.RGCTL and env.ORIGIN), reason="not all programs are there")

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def commands():
    """The lines of the first block that is indented below the heading."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        section = f.read().split("\n## Deploying\n", 1)[1]
    block = re.search(r"(?:^    .*\n)+", section, re.M).group(0)
    return [line[4:] for line in block.replace("\\\n", " ").splitlines()]


class Shell:
    """One shell that runs all of them, elsewhere: on free ports, in a directory of its own, where another run may be near."""

    def __init__(self, directory):
        self.directory = directory
        self.platform, self.gateway, self.origin = (env.free_port() for _ in range(3))
        self.changes = [
            ("export PATH=$PWD/build/release/bin:$PATH", f"export PATH={os.path.dirname(env.RINGGATE)}:$PATH"),
            ("$(sleep 1;", f"$(until (: </dev/tcp/127.0.0.1/{self.platform}) 2>&-; do sleep 0.05; done;"),
            ("ringgate --listen", "ringgate --admin off --workers 1 --listen"),
            ("127.0.0.1:8000", f"127.0.0.1:{self.origin}"), ("127.0.0.1:9080", f"127.0.0.1:{self.platform}"),
            ("127.0.0.1:8081", f"127.0.0.1:{self.gateway}"),
        ]
        examples = directory / "docs" / "examples"
        shutil.copytree(os.path.join(ROOT, "docs", "examples"), examples)
        for path in examples.iterdir():
            path.write_text(self.changed(path.read_text(encoding="utf-8")), encoding="utf-8")

    def changed(self, text):
        for old, new in self.changes:
            text = text.replace(old, new)
        return text

    def run(self, lines):
        """Of each line in the foreground: (line, status, what it printed)."""
        script = [f"export RINGGATE_PLATFORM=http://127.0.0.1:{self.platform} ASAN_OPTIONS=detect_leaks=1:exitcode=99"]
        for i, line in enumerate(lines):
            line = self.changed(line).partition("   #")[0].rstrip()
            if line.endswith("&"):
                script.append(f"{line[:-1]} >{i}.log 2>&1 & pids=\"$pids $!\"")
            elif line.startswith("export") or ">" in line:
                script.append(f"{line} || exit 9")
            else:
                script.append(f"{{ {line}; }} >{i}.out 2>&1; echo $? >{i}.status")
        script.append("kill $pids; for p in $pids; do wait $p; echo $? >>ends; done")
        shell = subprocess.Popen(["bash", "-c", "\n".join(script)], cwd=self.directory, start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = shell.communicate(timeout=env.scaled(60))
        except subprocess.TimeoutExpired:
            said = "it took too long"
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)  # its own group: programs that a failure has left
            except ProcessLookupError:
                pass
        assert shell.wait() == 0, said + self.logs()
        return [(line, int(self.text(f"{i}.status")), self.text(f"{i}.out"))
                for i, line in enumerate(lines) if (self.directory / f"{i}.status").exists()]

    def text(self, name):
        return (self.directory / name).read_text(encoding="utf-8")

    def logs(self):
        return "".join(f"\n{p.name}: {p.read_text(encoding='utf-8', errors='replace')[-2000:]}"
                       for p in sorted([*self.directory.glob("*.log"), *self.directory.glob("*.out")]))


def test_what_the_readme_says_is_so(tmp_path):
    shell = Shell(tmp_path)
    done = shell.run(commands())
    results = {" ".join(line.split()[:4]).partition(" #")[0]: (status, out) for line, status, out in done}

    def of(beginning):
        return next(r for line, r in results.items() if line.startswith(beginning))
    for line, (status, out) in results.items():
        assert status == (1 if "broken" in line else 0), f"{line}: {status} {out}{shell.logs()}"
    assert "is live on edge-1" in of("rgctl apply -f docs/examples/hello")[1]
    answer = of("curl")[1]
    assert "HTTP/1.1 200" in answer and "x-api: hello" in answer.lower() and "x-deployed-by" in answer.lower(), answer
    broken = of("rgctl apply -f docs/examples/broken")[1]
    assert "FAILED on edge-1" in broken and re.search(r"broken\.yaml:\d+:\d+: spec\.policies\[0\]", broken), broken
    history = of("rgctl history")[1]
    assert "FAILED" in history and "DEPLOYED" in history, history
    assert shell.text("ends").split() == ["0", "0", "0"], shell.logs()
