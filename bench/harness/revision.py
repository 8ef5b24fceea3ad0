"""Another revision of ringgate, built beside this one, and whether this one is slower."""

import os
import statistics
import subprocess

from . import marks, stats
from .programs import Failure

RELEASE = ("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O2 -g -DNDEBUG")  # as the preset has it


def run(command, log, **more):
    with open(log, "ab") as file:
        done = subprocess.run([str(part) for part in command], stdout=file, stderr=file, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        tail = log.read_text(errors="replace").strip()[-1000:]
        raise Failure(f"{' '.join(map(str, command[:3]))} ... failed; the whole output is in {log}:\n{tail}")


def git_command(root, *arguments):
    """Root may read a repository that belongs to the user who called sudo."""
    return ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments]


def git(root, *arguments):
    done = subprocess.run(git_command(root, *arguments), capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def describe(root):
    """The commit that is measured, and whether files differ from it."""
    commit = git(root, "log", "-1", "--format=%h %cs %s")
    if commit is None:
        return "unknown (not a git repository)"
    changed = git(root, "status", "--porcelain", "--untracked-files=no")
    return commit + (" (with changes that are not committed)" if changed else "")


def build(root, name, say):
    """Exports the revision below build/ (git's own list of worktrees stays as it is) and builds ringgate there, once.
    Returns the short name and the program."""
    commit = git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if commit is None:
        raise Failure(f"--compare {name}: no such revision; `git log --oneline` lists some", 2)
    folder = root / "build" / "revisions" / commit[:12]
    program, source, log = folder / "build" / "bin" / "ringgate", folder / "source", folder / "build.log"
    if not program.exists():
        say(f"building {name} ({commit[:12]}) in {folder}")
        source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.Popen(git_command(root, "archive", commit), stdout=subprocess.PIPE)
        unpacked = subprocess.run(["tar", "-x", "-C", str(source)], stdin=archive.stdout)
        if archive.wait() != 0 or unpacked.returncode != 0:
            raise Failure(f"--compare {name}: git archive failed")
        run(["cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", *RELEASE,
             f"-DRG_DEPS_DIR={root / 'build' / 'deps'}"], log)
        run(["cmake", "--build", folder / "build", "--target", "ringgate", "--parallel",
             os.environ.get("RG_JOBS", str(os.cpu_count()))], log)
    return f"ringgate@{commit[:9]}", str(program)


def compare(results, old):
    """A verdict for each scenario, from the ratios of this ringgate to the old one within each round that is trusted; too few of
    those decide nothing."""
    found = []
    for scenario in results["scenarios"]:
        mine, theirs = scenario["rounds"].get("ringgate", {}), scenario["rounds"].get(old, {})
        every, kept = ([ratios_of(mine.get("peak"), theirs.get("peak"), name) for name in ("rate", "cpu_us")]
                       for ratios_of in (stats.ratios, marks.trusted_ratios))
        if not all(every):
            continue
        rate, cpu = kept if all(kept) else every
        rate_low, rate_high, coverage = stats.interval(rate)
        cpu_low, cpu_high, _ = stats.interval(cpu)
        found.append({
            "scenario": scenario["name"], "coverage": coverage,
            "rate": statistics.median(rate), "rate_low": rate_low, "rate_high": rate_high,
            "cpu": statistics.median(cpu), "cpu_low": cpu_low, "cpu_high": cpu_high,
            "verdict": stats.verdict_of_both(stats.verdict(rate, True), stats.verdict(cpu, False))
                       if all(kept) and coverage >= stats.COVERAGE else "undecided",
        })
    return {"revision": old.split("@")[1], "scenarios": found}
