"""The benchmark harness behind `./dev bench`. What it does and what its figures mean: bench/README.md.

In reading order: machine, programs, contenders, load (who runs, and what asks them) -> measure, cells (one figure, one
scenario) -> stats, targets (what the figures say) -> report, plots, document (who is told) -> revision, options, cli.
"""
