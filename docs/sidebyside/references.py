"""
---
summary: How a name in the code is resolved to what it stands for, without guessing
---
# What a name refers to

A reader who meets `nn.Conv2d` should be one click away from its documentation. For that we have to know that
`nn` is `torch.nn` *here*: it was imported under that name, and nothing in between took the name for something else.

So this module reads the syntax tree as Python's compiler would. It notes which names each scope binds,
and then follows every use from its own scope outwards. What it finds is certain, or it is left out:

* a name that is bound twice to different things is not resolved, as in `try: import x … except ImportError: x = None`
* parameters and local variables hide what has the same name outside
* `from x import *` might bring anything, so names bound above it count no longer
* what an object is, we do not know; only modules, classes, functions and `self` have members here

Names inside f-strings are left alone, because older Pythons do not say where they stand.
"""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from sidebyside.discover import module_name
from sidebyside.source import Unreadable, syntax_tree

# Start and end in the text, counted in characters, and the absolute dotted name
Reference = tuple[int, int, str]


class Scope:
    """
    ## A scope and the names it binds

    * `prefix` is the dotted name of what is defined here, with a dot behind it
    * `names` say what each name stands for: a dotted name, the class whose instance it is (as the scope of that class),
       or `None` where that is unknown
    * `outer_names` are declared `global` or `nonlocal` here
    * `assigned` are the attributes that a class gives its instances
    """

    __slots__ = ("assigned", "kind", "names", "outer_names", "parent", "prefix")

    def __init__(
        self, kind: Literal["module", "function", "class", "comprehension"], parent: "Scope | None", prefix: str
    ) -> None:
        self.kind = kind
        self.parent = parent
        self.prefix = prefix
        self.names: dict[str, str | Scope | None] = {}
        self.outer_names: dict[str, Literal["global", "nonlocal"]] = {}
        self.assigned: set[str] = set()

    def bind(self, name: str, target: "str | Scope | None" = None) -> None:
        # Two bindings to the same thing agree: `import torch` and `import torch.nn` both bind `torch`.
        self.names[name] = target if self.names.get(name, target) == target else None

    def lookup(self, name: str) -> "str | Scope | None":
        """
        ### What a name stands for here

        The names of a class are seen in its own body and not in its methods.
        """
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope.kind != "class" or scope is self):
                return scope.names[name]
            scope = scope.parent
        return None


def find_references(text: str, path: str, package: str = "") -> list[Reference]:
    """
    ## Find references

    * `text` is a module that parses
    * `path` is its path relative to the source folder
    * `package` is the dotted name of the source folder if that is a package

    Returns the names that could be resolved, in the order of the text.
    """
    try:
        tree = syntax_tree(text)
    except Unreadable:
        return []
    reader = _Reader(text, path, package)
    reader.read(tree)
    return sorted(set(reader.resolve()))


Use = tuple[ast.Name, Scope, list[ast.Attribute]]
Visitor = Callable[[Any, Scope], None]
Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

# Nodes that hold no names. A tree is full of them.
LEAVES: Final = frozenset({ast.Constant, ast.Load, ast.Store, ast.Del, ast.Pass, ast.Break, ast.Continue})

# The usual `from a.b import`. Where it is written otherwise, over several lines say, its own parts get no link.
FROM: Final = re.compile(r"from[ \t]+(\.*)([\w.]*)[ \t]")


class _Reader:
    # It walks through the tree once, notes bindings and uses, and resolves the uses when all bindings are known.

    def __init__(self, text: str, path: str, package: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.module = module_name(path, package)
        self.is_package = path.rpartition("/")[2] == "__init__.py"
        self.scopes = [Scope("module", None, self.module + "." if self.module else "")]
        self.uses: list[Use] = []
        self.found: list[Reference] = []
        # The line of the last `import *`, and where names of the module are bound first
        self.star_line = 0
        self.bound_at: dict[str, int] = {}
        self.pending: list[tuple[ast.AST, Scope]] = []
        # Where each line begins in the text
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    @property
    def module_scope(self) -> Scope:
        return self.scopes[0]

    # ## Walk

    def read(self, tree: ast.Module) -> None:
        # With a stack of our own, because a tree may be deeper than Python lets functions nest.
        pending = self.pending
        pending.append((tree, self.module_scope))
        visitors = self.visitors()
        while pending:
            node, scope = pending.pop()
            visit = visitors.get(type(node))
            if visit is not None:
                visit(node, scope)
            else:
                self.push_children(node, scope)

    def visitors(self) -> dict[type, Visitor]:
        visitors: dict[type, Visitor] = {
            ast.Name: self.visit_name,
            ast.Attribute: self.visit_attribute,
            ast.JoinedStr: self.visit_f_string,
            ast.FunctionDef: self.visit_function,
            ast.AsyncFunctionDef: self.visit_function,
            ast.Lambda: self.visit_lambda,
            ast.ClassDef: self.visit_class,
            ast.ListComp: self.visit_comprehension,
            ast.SetComp: self.visit_comprehension,
            ast.DictComp: self.visit_comprehension,
            ast.GeneratorExp: self.visit_comprehension,
            ast.NamedExpr: self.visit_named_expression,
            ast.Import: self.visit_import,
            ast.ImportFrom: self.visit_import_from,
            ast.Global: self.visit_global,
            ast.Nonlocal: self.visit_global,
            ast.ExceptHandler: self.visit_capture,
            ast.MatchAs: self.visit_capture,
            ast.MatchStar: self.visit_capture,
            ast.MatchMapping: self.visit_capture,
        }
        # Python 3.12 has `type X[T] = …`, and 3.14 has templates, which are like f-strings.
        for name, visitor in (("TypeAlias", self.visit_type_alias), ("TemplateStr", self.visit_f_string)):
            if hasattr(ast, name):
                visitors[getattr(ast, name)] = visitor
        return visitors

    def push_children(self, node: ast.AST, scope: Scope) -> None:
        pending = self.pending
        for value in vars(node).values():
            if isinstance(value, list):
                for item in value:
                    if isinstance(item, ast.AST) and type(item) not in LEAVES:
                        pending.append((item, scope))
            elif isinstance(value, ast.AST) and type(value) not in LEAVES:
                pending.append((value, scope))

    def push(self, nodes: Sequence[ast.AST | None], scope: Scope) -> None:
        self.pending.extend((node, scope) for node in nodes if node is not None)

    # ## Names

    def bind(self, scope: Scope, name: str, line: int, target: str | Scope | None = None) -> None:
        scope.bind(name, target)
        if scope is self.module_scope:
            self.bound_at[name] = min(line, self.bound_at.get(name, line))

    def visit_name(self, node: ast.Name, scope: Scope) -> None:
        if isinstance(node.ctx, ast.Load):
            self.uses.append((node, scope, []))
        else:
            self.bind(scope, node.id, node.lineno)

    def visit_attribute(self, node: ast.Attribute, scope: Scope) -> None:
        chain = []
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            chain.append(root)
            root = root.value
        if isinstance(root, ast.Name):
            self.uses.append((root, scope, chain[::-1]))
        else:
            self.pending.append((root, scope))

    def visit_f_string(self, node: ast.AST, scope: Scope) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.NamedExpr):
                self.visit_target(inner, scope)

    def visit_named_expression(self, node: ast.NamedExpr, scope: Scope) -> None:
        self.visit_target(node, scope)
        self.pending.append((node.value, scope))

    def visit_target(self, node: ast.NamedExpr, scope: Scope) -> None:
        # `:=` inside a comprehension binds outside of it.
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        self.bind(scope, node.target.id, node.lineno)

    def visit_capture(self, node: ast.AST, scope: Scope) -> None:
        name = getattr(node, "rest", None) if isinstance(node, ast.MatchMapping) else getattr(node, "name", None)
        if name:
            self.bind(scope, name, getattr(node, "lineno", 0))
        self.push_children(node, scope)

    def visit_global(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        for name in node.names:
            scope.outer_names[name] = "global" if isinstance(node, ast.Global) else "nonlocal"

    # ## Definitions

    def add_scope(self, kind: Literal["function", "class", "comprehension"], parent: Scope, name: str = "") -> Scope:
        scope = Scope(kind, parent, f"{parent.prefix}{name}." if name else parent.prefix)
        self.scopes.append(scope)
        return scope

    def type_parameters(self, node: ast.AST, scope: Scope) -> Scope:
        # `def f[T](x: T)` has a scope around it in which `T` is bound.
        parameters = getattr(node, "type_params", [])
        if not parameters:
            return scope
        scope = self.add_scope("function", scope)
        for parameter in parameters:
            scope.bind(parameter.name)
            self.push_children(parameter, scope)
        return scope

    def visit_type_alias(self, node: ast.AST, scope: Scope) -> None:
        self.pending.append((node.name, scope))  # type: ignore[attr-defined]
        self.pending.append((node.value, self.type_parameters(node, scope)))  # type: ignore[attr-defined]

    def visit_lambda(self, node: ast.Lambda, scope: Scope) -> None:
        inner = self.add_scope("function", scope)
        self.bind_parameters(node.args, scope, scope, inner)
        self.pending.append((node.body, inner))

    def visit_function(self, node: Function, scope: Scope) -> None:
        self.bind(scope, node.name, node.lineno, scope.prefix + node.name)
        signature = self.type_parameters(node, scope)
        inner = self.add_scope("function", signature, node.name)
        self.bind_parameters(node.args, scope, signature, inner)
        if scope.kind == "class" and not _is_static(node):
            self.bind_self(node.args, scope, inner)
        self.push(node.decorator_list, scope)
        self.push([node.returns], signature)
        self.push(node.body, inner)

    def bind_parameters(self, arguments: ast.arguments, defaults: Scope, annotations: Scope, inner: Scope) -> None:
        # Defaults and annotations are evaluated outside of the function.
        self.push([*arguments.defaults, *arguments.kw_defaults], defaults)
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        for parameter in parameters:
            if parameter is not None:
                inner.bind(parameter.arg)
                self.push([parameter.annotation], annotations)

    def bind_self(self, arguments: ast.arguments, owner: Scope, inner: Scope) -> None:
        # The first parameter of a method is an instance of the class, whatever its name is, or the class.
        for parameter in [*arguments.posonlyargs, *arguments.args][:1]:
            inner.names[parameter.arg] = owner

    def visit_class(self, node: ast.ClassDef, scope: Scope) -> None:
        self.bind(scope, node.name, node.lineno, scope.prefix + node.name)
        outer = self.type_parameters(node, scope)
        self.push(node.decorator_list, scope)
        self.push([*node.bases, *node.keywords], outer)
        self.push(node.body, self.add_scope("class", outer, node.name))

    def visit_comprehension(self, node: Comprehension, scope: Scope) -> None:
        # What the first `for` runs over is evaluated outside.
        inner = self.add_scope("comprehension", scope)
        self.pending.append((node.generators[0].iter, scope))
        for number, generator in enumerate(node.generators):
            self.push([generator.target, *generator.ifs, generator.iter if number else None], inner)
        self.push([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt], inner)

    # ## Imports

    def visit_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            first = alias.name.partition(".")[0]
            self.bind(scope, alias.asname or first, node.lineno, alias.name if alias.asname else first)
            start = self.position(alias.lineno, alias.col_offset)
            self.add_dotted(start, alias.name, "")
            self.add_alias(alias, alias.name)

    def visit_import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        origin = self.origin(node)
        if node.names[0].name == "*":
            self.star_line = max(self.star_line, node.lineno)
        else:
            for alias in node.names:
                target = f"{origin}.{alias.name}" if origin else None
                self.bind(scope, alias.asname or alias.name, node.lineno, target)
                if target:
                    self.add(self.position(alias.lineno, alias.col_offset), alias.name, target)
                    self.add_alias(alias, target)
        match = FROM.match(self.text, self.position(node.lineno, node.col_offset))
        if match and origin and node.module and match[2] == node.module:
            self.add_dotted(match.start(2), node.module, origin.removesuffix(node.module))

    def origin(self, node: ast.ImportFrom) -> str | None:
        """
        ### Where a relative import leads

        Up from the module that it stands in. `None` where that is above the source folder.
        """
        if not node.level:
            return node.module
        here = self.module.split(".") if self.module else []
        up = node.level - (1 if self.is_package else 0)
        if up > len(here):
            return None
        parts = here[: len(here) - up] + ([node.module] if node.module else [])
        return ".".join(parts) or None

    def add_dotted(self, start: int, dotted: str, before: str) -> None:
        # `torch.nn` leads to `torch` and to `torch.nn`.
        target = before
        for part in dotted.split("."):
            target += part
            self.add(start, part, target)
            target += "."
            start += len(part) + 1

    def add_alias(self, alias: ast.alias, target: str) -> None:
        if alias.asname and alias.end_lineno and alias.end_col_offset:
            end = self.position(alias.end_lineno, alias.end_col_offset)
            self.add(end - len(alias.asname), alias.asname, target)

    # ## Resolve

    def resolve(self) -> Iterator[Reference]:
        """
        ### Resolve the uses

        All bindings are known by now.
        """
        for scope in self.scopes:
            self.hand_out_names(scope)
        for name, line in self.bound_at.items():
            if line < self.star_line:
                self.module_scope.names[name] = None
        # Most names in a module are variables. Only these can lead anywhere.
        resolvable = {name for scope in self.scopes for name, target in scope.names.items() if target is not None}
        uses = [use for use in self.uses if use[0].id in resolvable]
        self.note_assigned(uses)
        for use in uses:
            self.resolve_use(*use)
        yield from self.found

    def hand_out_names(self, scope: Scope) -> None:
        # Names declared `global` or `nonlocal` belong to another scope, together with what is bound to them here.
        for name, kind in scope.outer_names.items():
            owner: Scope | None = self.module_scope
            if kind == "nonlocal":
                owner = scope.parent
                while owner is not None and not (owner.kind == "function" and name in owner.names):
                    owner = owner.parent
            if name in scope.names:
                del scope.names[name]
                if owner is not None:
                    self.bind(owner, name, 0)

    def note_assigned(self, uses: list[Use]) -> None:
        # `self.forward = …` hides a method of that name.
        for name, scope, chain in uses:
            if chain and not isinstance(chain[0].ctx, ast.Load):
                owner = scope.lookup(name.id)
                if isinstance(owner, Scope):
                    owner.assigned.add(chain[0].attr)

    def resolve_use(self, name: ast.Name, scope: Scope, chain: list[ast.Attribute]) -> None:
        target = scope.lookup(name.id)
        if isinstance(target, Scope):
            if not chain:
                return
            method, *chain = chain
            target = _member(target, method.attr)
            if target is not None:
                self.add_attribute(method, target)
        elif target is not None:
            self.add(self.position(name.lineno, name.col_offset), name.id, target)
        if target is None:
            return
        for attribute in chain:
            target = f"{target}.{attribute.attr}"
            self.add_attribute(attribute, target)

    # ## Positions

    def position(self, line: int, column: int) -> int:
        # The tree counts columns in bytes of UTF-8.
        text = self.lines[line - 1]
        if not text.isascii():
            column = len(text.encode()[:column].decode(errors="ignore"))
        return self.starts[line - 1] + column

    def add_attribute(self, node: ast.Attribute, target: str) -> None:
        if node.end_lineno and node.end_col_offset:
            end = self.position(node.end_lineno, node.end_col_offset)
            self.add(end - len(node.attr), node.attr, target)

    def add(self, start: int, name: str, target: str) -> None:
        # Python knows identifiers in a normal form, which need not be how they are written.
        if self.text.startswith(name, start):
            self.found.append((start, start + len(name), target))


def _is_static(node: Function) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "staticmethod" for decorator in node.decorator_list)


def _member(owner: Scope, name: str) -> str | None:
    # What a class itself defines, and nothing has taken the place of
    target = owner.names.get(name)
    is_own = target == owner.prefix + name and name not in owner.assigned
    return target if is_own and isinstance(target, str) else None
