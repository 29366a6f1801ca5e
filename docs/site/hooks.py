"""What mkdocs does beyond mkdocs.yml: pages made from the schema and docstrings, and links that leave docs/.

On the forge a page links to a file of the repository by its path. In the site that file is added: a Markdown page as a
page, another file as text.
"""

import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))  # mkdocs takes the folder away once this file is loaded
from api_pages import write_api_pages  # noqa: E402
from option_pages import write_option_pages  # noqa: E402

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
FRONT = "project.md"  # docs/README.md is the site's first page, so that the repository's README has another name
TABLE = re.compile(r"<table( data-keys)?>.*?</table>", re.DOTALL)
CELL_CODE = re.compile(r"(?<=<code>)[^<]{17,}(?=</code>)")  # shorter ones stay whole
BREAK = re.compile(r"(?<=[/_:,=(\[])(?=[^\W\d])|(?<=\.)(?=[a-z]{5})")  # before no number and no suffix
OUTSIDE = re.compile(r"""<(?:script|img|link rel="(?:stylesheet|preconnect|icon)")[^>]*(?:src|href)="?(?:https?:)?//""")


def on_files(files: Files, config: Any) -> Files:
    """Add the reference, and what pages link to outside docs/."""
    import prismsr

    schema = json.loads((ROOT / "options" / "schema.json").read_text(encoding="utf8"))
    made = {f"reference/options/{name}": text for name, text in write_option_pages(schema).items()}
    made |= {f"reference/api/{name}": text for name, text in write_api_pages(prismsr).items()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    waiting = [find_home(file.src_uri) for file in files.documentation_pages() if file.src_uri not in made]
    seen = set(waiting)
    while waiting:
        page = waiting.pop()
        for target in find_links(page, (ROOT / page).read_text(encoding="utf8")) - seen:
            seen.add(target)
            if not target.startswith("docs/") and (ROOT / target).is_file():
                files.append(File.generated(config, find_place(target), abs_src_path=str(ROOT / target)))
                waiting += [target] if target.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between files of the repository into links between files of the site."""
    return rewrite_links(find_home(page.file.src_uri), markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that loads anything from another host, and let paths in tables break behind their separators."""
    if found := OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri}: loads from another host: {found[0]}")
    if page.file.src_uri.startswith("reference/options/"):
        output = output.replace("<table>", "<table data-keys>")
    return TABLE.sub(lambda table: CELL_CODE.sub(lambda code: BREAK.sub("<wbr>", code[0]), table[0]), output)


def find_home(place: str) -> str:
    """Return the path in the repository of a file of the site."""
    if place == FRONT:
        return "README.md"
    return place if not (ROOT / "docs" / place).exists() and (ROOT / place).is_file() else f"docs/{place}"


def find_place(path: str) -> str:
    """Return the place in the site of a file of the repository."""
    return FRONT if path == "README.md" else path.removeprefix("docs/")


def find_links(page: str, text: str) -> set[str]:
    """Return the files of the repository that a page links to, as paths in the repository."""
    links = (link for _, link, _ in LINK.findall(CODE.sub("", text)) if ":" not in link)
    return {posixpath.normpath(posixpath.join(posixpath.dirname(page), link)) for link in links}


def rewrite_links(page: str, text: str) -> str:
    """Return the text of a page of the repository with links as the site needs them."""
    folder, here = posixpath.dirname(page), posixpath.dirname(find_place(page)) or "."

    def rewrite(found: re.Match[str]) -> str:
        words, link, anchor = found.groups(default="")
        if ":" in link:
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, link))
        if (ROOT / path).is_dir():
            return words
        return f"[{words}]({posixpath.relpath(find_place(path), here)}{anchor})"

    parts = re.split(f"({CODE.pattern})", text, flags=CODE.flags)
    return "".join(LINK.sub(rewrite, part) if number % 2 == 0 else part for number, part in enumerate(parts))
