"""Read YAML safely: data only, bounded in size; `1e-4` is a number, `12:30` text, a duplicate key an error.

The line of every key is kept.
"""

import re
from collections.abc import Iterable
from typing import Any

from prismsr.utils.errors import OptionError

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
_FLOAT = re.compile(
    r"""^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
            |\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
            |[0-9][0-9_]*[eE][-+]?[0-9]+
            |\.(?:inf|Inf|INF))$
       |^\.(?:nan|NaN|NAN)$""",
    re.VERBOSE,
)


_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")  # none to the base 60
MAX_VALUES = 20_000
"""Values that a file may hold, each alias counted as what it stands for; the largest of ours has about 300."""


class OptionLoader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's floats (`1e-4`, `5e3`); dates and times are left as the text they are."""


OptionLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag not in (_TAG + "float", _TAG + "int", _TAG + "timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
OptionLoader.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+.0123456789"))
OptionLoader.add_implicit_resolver(_TAG + "int", _INT, list("-+0123456789"))


class OptionDumper(yaml.SafeDumper):
    """Writes what OptionLoader reads back as it was: the text '1e-4' is put in quotes."""


OptionDumper.yaml_implicit_resolvers = OptionLoader.yaml_implicit_resolvers


def read_yaml(text: str, source: str) -> tuple[Any, dict[str, str]]:
    """Parse YAML text; `source` is the name of the file for messages.

    Returns:
        The data, and for each key path (`train.optim_g.lr`) where it stands (`file.yml:12`).

    Raises:
        OptionError: not YAML, a duplicate key, a key that is neither text nor a whole number, a tag that could run
            code or make anything but plain data, or more than can be meant: MAX_VALUES values, or endless nesting.
    """
    lines: dict[str, str] = {}
    try:
        loader = OptionLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, lines
            _Inspection(source).inspect(node, "", lines, ())
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except OptionError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = source if mark is None else f"{source}:{mark.line + 1}"
        raise OptionError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise OptionError(f"{source}: lists or mappings are nested too deeply to be read.") from None
    except ValueError as error:  # a number of thousands of digits
        raise OptionError(f"{source}: holds a value that cannot be read: {error}") from None


def read_settings(texts: Iterable[str], flag: str) -> dict[str, Any]:
    """Return the values of KEY=VALUE texts, given to the option `flag`, each read as in an option file.

    Raises:
        OptionError: a text without "=", or a value that is not YAML.

    Example:
        >>> read_settings(["lr=1e-4", "range=[0, 1]"], "--option")
        {'lr': 0.0001, 'range': [0, 1]}
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise OptionError(f"{flag} {text}: write KEY=VALUE")
        found[key] = read_yaml(value, f"{flag} {key}")[0]
    return found


class _Inspection:
    """A walk over the parsed nodes before any value is made: only they know tags, lines and repeated keys."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.values = 0

    def inspect(self, node: Node, path: str, lines: dict[str, str], above: tuple[Node, ...]) -> None:
        where = _where(node, self.source)
        if any(node is other for other in above):
            raise OptionError(f"{where}: {path} contains itself through an alias.")
        self.values += 1
        if self.values > MAX_VALUES:
            raise OptionError(
                f"{where}: {path}: the file holds more than {MAX_VALUES} values, aliases counted in full."
            )
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            raise OptionError(
                f"{where}: the tag {tag} is refused; an option file holds only data "
                "(text, numbers, true/false, null, lists and mappings)."
            )
        if isinstance(node, SequenceNode):
            for position, child in enumerate(node.value):
                self.inspect(child, f"{path}[{position}]", lines, (*above, node))
        elif isinstance(node, MappingNode):
            self._inspect_mapping(node, path, lines, (*above, node))

    def _inspect_mapping(self, node: MappingNode, path: str, lines: dict[str, str], above: tuple[Node, ...]) -> None:
        seen: dict[str, str] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                self.inspect(value_node, path, {}, above)
                continue
            key = _key(key_node, self.source)
            where = _where(key_node, self.source)
            full = f"{path}.{key}" if path else key
            if key in seen:
                raise OptionError(f"{where}: the key {full} is already there ({seen[key]}); keep one of the two.")
            seen[key] = lines[full] = where
            self.inspect(value_node, full, lines, above)


def _key(node: Node, source: str) -> str:
    if not isinstance(node, ScalarNode) or node.tag not in (_TAG + "str", _TAG + "int"):
        shown = getattr(node, "value", "")
        raise OptionError(f"{_where(node, source)}: the key {shown!r} is not text; put it in quotes.")
    return str(node.value)


def _where(node: Node, source: str) -> str:
    return f"{source}:{node.start_mark.line + 1}"
