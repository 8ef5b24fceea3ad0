"""The benchmark harness behind `./dev bench`. What it does and what its figures mean: bench/README.md.

In reading order: lock, machine, programs, tls, site, contenders, load (who runs, and what asks them) -> abilities, plan, sequence, rest, measure,
freeze, cells (one figure, one scenario) -> stats, marks, targets (what the figures say) -> results (what is kept) -> tables,
scenario_report, report, plots, document (who is told) -> revision, options, run, cli.
"""
