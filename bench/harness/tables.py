"""Tables of figures in Markdown."""

from . import stats


def table(header, rows):
    """Markdown, columns padded so that it reads as text, too; the first column left, the others right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells):
        return "| " + " | ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                                 for i, (cell, width) in enumerate(zip(cells, widths))) + " |"
    rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def number(value, form=",.0f", none="-"):
    return none if value is None else f"{value:{form}}"


def middle(rows, name, form=",.0f"):
    return number(stats.median(rows, name), form)


def ranged(rows, name, form=",.0f", scale=1.0):
    """Median (least to greatest)."""
    found = stats.spread(rows, name)
    if not found:
        return "-"
    return f"{found[0] * scale:{form}} ({found[1] * scale:{form}}-{found[2] * scale:{form}})"
