"""Tables as text."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]], align: str = "") -> str:
    r"""Return a Markdown table whose columns are padded to one width; no line end behind the last row.

    Args:
        header: names of the columns.
        rows: cells, as many in each row as in the header; a line end becomes a space and "|" becomes "\|".
        align: a letter for each column, "l" or "r"; "" sets all to the left.

    Raises:
        ValueError: a row or `align` is longer or shorter than the header.

    Example:
        >>> print(markdown_table(["image", "PSNR"], [["baby", 33.1], ["bird", 8]], "lr"))
        | image | PSNR |
        |-------|-----:|
        | baby  | 33.1 |
        | bird  |    8 |
    """
    lines = [[str(cell).replace("\n", " ").replace("|", r"\|") for cell in row] for row in [header, *rows]]
    columns = zip(align or "l" * len(header), *lines, strict=True)
    padded = [[_rule(side, cells), *_pad(side, cells)] for side, *cells in columns]
    rule, head, *body = zip(*padded, strict=True)
    return "\n".join(f"|{'|'.join(line)}|" for line in (head, rule, *body))


def _rule(side: str, cells: Sequence[str]) -> str:
    return "-" * (max(map(len, cells)) + 1) + (":" if side == "r" else "-")


def _pad(side: str, cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [f" {cell.rjust(width) if side == 'r' else cell.ljust(width)} " for cell in cells]
