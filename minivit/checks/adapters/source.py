"""What the source of a function says: its arguments, what it returns by name, and its words."""

import ast
import functools
import inspect
import re
import textwrap

UPSTREAM = re.compile(
    r"d\w*|\w*grad\w*|g|g[yoz]|gout|upstream\w*|err(or)?s?|\w+_bar|\w*diff\w*", re.IGNORECASE
)
NOT_UPSTREAM = re.compile(
    r"data|dims?|dropout\w*|d(_?k|_?model|_?head)?|dilation|dtype|depth|dict|dt|device|degree|\w*param"
)
PREFIX = re.compile(
    r"(?:d[LJEC]_?d_?|dloss_?d?_?|gradient_?|grads?_?(?:of_)?(?:d_?)?|nabla_?|delta_?|d_?|g_?|∂|∇)"
    r"(\w+)",
    re.IGNORECASE,
)
SUFFIX = re.compile(r"(\w+?)_?(?:grads?|gradients?|bar|g)", re.IGNORECASE)
SYNONYMS = [{"w", "weight", "kernel", "wt"}, {"b", "bia", "biase"}, {"x", "input", "inp"}]


def unwrapped(function):
    """The function behind decorators, partial and methods."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial):
        function = inspect.unwrap(function.func)
    return getattr(function, "__func__", function)


def parameters_of(function):
    """[(name, required, takes several)] of the positional parameters, or None if nobody knows."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    several = inspect.Parameter.VAR_POSITIONAL
    return [
        (each.name, each.default is each.empty and each.kind != several, each.kind == several)
        for each in parameters
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD, several)
    ]


def argument_names(function, count):
    """The names by which a function takes `count` arguments.

    Errors: TypeError if it does not take so many.
    """
    names = []
    parameters = parameters_of(function)
    if parameters is None:
        return ["x", *(f"argument {place}" for place in range(2, count + 1))][:count]
    for name, _, several in parameters:
        names += [f"{name}[{i}]" for i in range(count - len(names))] if several else [name]
    required = sum(required for _, required, _ in parameters)
    if not required <= count <= len(names):
        shown = ", ".join(name for name, _, _ in parameters)
        label = getattr(function, "__name__", type(function).__name__)
        raise TypeError(f"gradcheck: {label}({shown}) got {count} arguments")
    return names[:count]


def is_upstream(name):
    """Whether a parameter of backward is called as the gradient with respect to the output is."""
    return bool(UPSTREAM.fullmatch(name)) and not NOT_UPSTREAM.fullmatch(name)


def returned_names(function):
    """What the last return statement names: a name or None, in tuples as they are nested.

    None if the source is not to be had.
    """
    tree = _tree(function)
    if tree is None:
        return None
    nodes = list(_own_nodes(tree))
    returns = [node for node in nodes if isinstance(node, ast.Return) and node.value]
    if not returns:
        return None
    value = max(returns, key=lambda node: node.lineno).value
    if isinstance(value, ast.Name):  # gradients = dx, dw; return gradients
        name = value.id
        for node in nodes:
            targets = node.targets if isinstance(node, ast.Assign) else []
            named = any(isinstance(t, ast.Name) and t.id == name for t in targets)
            if named and isinstance(node.value, (ast.Tuple, ast.List)):
                value = node.value
    return _names(value)


def _tree(function):
    try:
        source = textwrap.dedent(inspect.getsource(unwrapped(function)))
        (tree,) = ast.parse(source).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return tree if isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)) else None


def _own_nodes(node):
    """All nodes of a function but for those of functions inside."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own_nodes(child)


def _names(value):
    if isinstance(value, (ast.Tuple, ast.List)):
        return [_names(part) for part in value.elts]
    if isinstance(value, ast.Name):
        return value.id
    return value.attr if isinstance(value, ast.Attribute) else None


def flat(names):
    """Nested lists of names as one list."""
    if not isinstance(names, list):
        return [names]
    return [name for part in names for name in flat(part)]


def stems(gradient):
    """The names of which `gradient` may be the gradient's name: "dw" -> "w"; with "w" itself."""
    found = [gradient]
    gradient = gradient.lstrip("_")
    for pattern in (PREFIX, SUFFIX):
        if match := pattern.fullmatch(gradient):
            found.append(match[1])
    found += [match[1] for match in [re.fullmatch(r"d_?(\w+)", gradient)] if match]
    return found


def plain(name):
    """A name without what people write differently: case, underscores, a plural."""
    return re.sub(r"s$|_", "", name.lower()) or name


def namesake(gradient, names, itself=True):
    """The place in `names` of the array that a gradient's name means, or None.

    The most literal reading that only one name fits is taken. itself: "w" may mean w.
    """
    candidates = stems(gradient)[0 if itself else 1 :]
    for reading in (str, plain, _synonym):
        for candidate in candidates:
            fitting = [i for i, name in enumerate(names) if reading(name) == reading(candidate)]
            if len(fitting) == 1:
                return fitting[0]
    return None


def _synonym(name):
    """The first of the words that mean the same, numbers kept: "weights2" -> "w2"."""
    word, number = re.fullmatch(r"(.*?)(\d*)", plain(name)).groups()
    word = plain(word)
    return next((min(group, key=len) for group in SYNONYMS if word in group), word) + number
