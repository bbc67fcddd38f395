"""The rules of the layout, read from the syntax trees: who may import whom, and who may do what. Runs none of the code.

Every check lists its offenders as `file:line what`; a rule is changed here and in the design together, or not at all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FUNCTION = 60  # lines, docstring included
PACKAGES = ("unlearn_core", "components", "benchmarks")

PAGE_MAY_USE = ("config", "events", "errors", "topics.topic", "runner", "store")
METHOD_MAY_USE = ("methods.base", "topics.topic", "models.prompts", "objectives", "training", "stand_ins", "own_words", "edits",
                  "subspace", "activations", "spectra", "events", "errors")
HEAVY = ("torch", "transformers", "peft", "safetensors", "accelerate", "datasets", "sklearn", "scipy")
PURE = ("unlearn_core.subspace", "unlearn_core.objectives", "unlearn_core.evaluation.intervals",
        "unlearn_core.evaluation.judging", "unlearn_core.evaluation.removal", "unlearn_core.evaluation.metric",
        "unlearn_core.evaluation.likelihood", "unlearn_core.evaluation.memorisation", "unlearn_core.evaluation.membership",
        "unlearn_core.evaluation.text", "unlearn_core.evaluation.depth", "unlearn_core.evaluation.replacements",
        "unlearn_core.evaluation.condition",
        *(f"components.{name}" for name in ("view", "verdict", "tokens", "plots", "links", "palette", "cards",
                                            "findings", "numbers", "internals", "pairs", "strip", "terms",
                                             "problems", "race_view", "story", "race_plot", "race_words", "sequences",
                                             "sequence_now", "questions", "question_list", "audit_view", "audit_words",
                                             "audit_card", "audit_plot", "spreadsheet", "metrics", "build_words")))
PLAIN_DATA = ("unlearn_core.errors", "unlearn_core.config", "unlearn_core.events", "unlearn_core.topics.topic")
IMPURE = ("os", "sys", "io", "pathlib", "shutil", "tempfile", "subprocess", "threading", "multiprocessing", "asyncio",
          "time", "datetime", "random", "secrets", "uuid", "logging", "socket", "http", "urllib.request", "gradio")
NETWORK = ("requests", "httpx", "aiohttp", "websockets", "socket", "ssl", "http", "urllib.request", "urllib3", "ftplib",
           "huggingface_hub", "gradio_client")
RUN_FILES = {"events.jsonl", "summary.json", "edit.safetensors"}
# Who may write files at all: the store with its lock, and what writes one file at a path that it is given.
WRITERS = ("unlearn_core.store", "unlearn_core.locks", "unlearn_core.edits.edit", "unlearn_core.topics.reader",
           "unlearn_core.evaluation.references", "unlearn_core.demo.build", "unlearn_core.demo.by_name.build",
           "unlearn_core.methods.__main__", "benchmarks")
WRITES = {"write_text", "write_bytes", "mkdir", "unlink", "rmdir", "touch", "rename", "rmtree", "copytree", "copyfile",
          "move", "save_file", "save_pretrained", "symlink_to", "makedirs", "removedirs", "mkdtemp",
          "NamedTemporaryFile"}
EVENTS = {"click", "change", "input", "submit", "select", "load", "unload", "then", "success", "upload", "blur",
          "focus", "release", "tick", "edit", "clear_event", "key_up", "expand", "collapse", "on", "render"}
MUTATORS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard",
            "clear"}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


@dataclass(frozen=True)
class Import:
    """One imported name, absolute. `lazy`: inside a function; `typing`: only for annotations."""

    name: str
    line: int
    lazy: bool
    typing: bool

    def within(self, prefixes: tuple[str, ...]) -> bool:
        return any(self.name == prefix or self.name.startswith(f"{prefix}.") for prefix in prefixes)


@dataclass(frozen=True)
class Module:
    """One source file as a syntax tree."""

    path: Path
    name: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    @cached_property
    def imports(self) -> list[Import]:
        return list(self._imports(self.tree, False, False))

    def _imports(self, node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, lazy, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                source = self._source(child)
                yield from (Import(f"{source}.{alias.name}", child.lineno, lazy, typing) for alias in child.names)
            inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from self._imports(child, inside, typing or _for_typing(child))

    def _source(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") + ([""] if self.path.name == "__init__.py" else [])
        return ".".join(parts[:-node.level] + ([node.module] if node.module else []))

    def within(self, *prefixes: str) -> bool:
        return Import(self.name, 0, False, False).within(prefixes)

    def at(self, node: ast.AST | Import, what: str) -> str:
        line = node.line if isinstance(node, Import) else getattr(node, "lineno", 1)
        return f"{self.path.relative_to(ROOT)}:{line} {what}"

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call with the dotted name that is called ('' where it has none)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node, _dotted(node.func)


def _for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and _dotted(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute; an attribute of anything else keeps its own name, as `?.c`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value) or '?'}.{node.attr}"
    return ""


def _read() -> dict[str, Module]:
    paths = [ROOT / "app.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: Module(path, name) for name, path in zip(names, paths, strict=True)}


MODULES = _read()
CORE = [module for module in MODULES.values() if module.within("unlearn_core")]
PAGE = [module for module in MODULES.values() if module.within("components")]
PRODUCT = [*CORE, *PAGE, MODULES["app"]]
METHODS = [module for module in CORE if module.within("unlearn_core.methods")
           and module.path.stem not in ("__init__", "__main__", "base")]
PURE_MODULES = [module for module in MODULES.values() if module.within(*PURE)]


def none(offenders: Iterator[str] | list[str]) -> None:
    if found := sorted(set(offenders)):
        pytest.fail("\n".join(found), pytrace=False)


def imported(modules: list[Module], wrong: Callable[[Import], bool], what: str) -> Iterator[str]:
    for module in modules:
        yield from (module.at(found, f"{what} {found.name}") for found in module.imports if wrong(found))


# Who may import whom -------------------------------------------------------------------------------------------------

def test_the_engine_knows_no_page():
    none(imported(CORE, lambda found: found.within(("components", "app", "gradio", "plotly", "benchmarks")), "imports"))


def test_the_page_knows_no_app():
    none(imported(PAGE, lambda found: found.within(("app", "benchmarks")), "imports"))


def test_the_page_uses_only_the_contract():
    allowed = tuple(f"unlearn_core.{name}" for name in PAGE_MAY_USE)
    none(imported(PAGE, lambda found: found.within(("unlearn_core",)) and not found.within(allowed), "imports"))


def test_the_page_computes_nothing():
    none(imported(PAGE, lambda found: found.within(HEAVY), "imports"))


def test_a_method_stands_alone():
    allowed = tuple(f"unlearn_core.{name}" for name in METHOD_MAY_USE)
    none(imported(METHODS, lambda found: found.within(("unlearn_core",)) and not found.within(allowed), "imports"))


def test_a_method_names_no_topic_and_no_held_split():
    topics = {path.stem for path in (ROOT / "assets" / "demo_model" / "topics").glob("*.json")}
    hidden = topics | {"private-people", "book-series", "addition", "forget_paraphrase", "forget_spanish",
                       "forget_choice", "general", "held", "demo"}
    none(module.at(node, f"names {node.value!r}") for module in METHODS for node in ast.walk(module.tree)
         if isinstance(node, ast.Constant) and node.value in hidden)


def test_only_baselines_ask_for_the_retrained_model():
    """It never saw the topic: what it knows is no given text, and a method that unlearns does without."""
    none(module.at(node, "asks for the retrained model") for module in METHODS
         if module.path.stem not in ("retrain", "sisa") for node in ast.walk(module.tree)
         if isinstance(node, ast.Attribute) and node.attr == "retraining")


def test_torch_is_not_loaded_before_the_first_page():
    """What `app.py` and the catalogue of methods load at once, followed through all of our own modules."""
    none(_heavy_path([name]) for name in ("app", "components.dashboard", "unlearn_core.runner", "unlearn_core.store",
                                          "unlearn_core.models.catalogue", "unlearn_core.topics.catalogue",
                                          *(method.name for method in METHODS)) if _heavy_path([name]))


def _heavy_path(path: list[str], seen: set[str] | None = None) -> str:
    """`a > b > torch` for the first way from a module to a heavy library at import time; '' where there is none."""
    seen = set() if seen is None else seen
    for found in MODULES[path[-1]].imports:
        if found.lazy or found.typing:
            continue
        if found.within(HEAVY):
            return " > ".join([*path, found.name])
        for target in _loaded_by(found.name):
            if target not in seen:
                seen.add(target)
                if way := _heavy_path([*path, target], seen):
                    return way
    return ""


def _loaded_by(name: str) -> list[str]:
    """Our modules that importing `name` runs: every package on the way, and the module itself."""
    parts = name.split(".")
    return [prefix for end in range(1, len(parts) + 1) if (prefix := ".".join(parts[:end])) in MODULES]


# What pure modules do not do ------------------------------------------------------------------------------------------

def test_pure_modules_exist():
    missing = [name for name in PURE if not any(module.within(name) for module in PURE_MODULES)]
    assert not missing, missing


def test_pure_modules_have_no_clock_and_no_files():
    calls = (module.at(node, f"calls {name}") for module in PURE_MODULES for node, name in module.calls()
             if name in ("open", "print", "input") or name.endswith((".read_text", ".read_bytes")))
    none([*imported(PURE_MODULES, lambda found: found.within(IMPURE), "imports"), *calls])


def test_pure_modules_rest_on_pure_modules():
    allowed = (*PURE, *PLAIN_DATA)
    none(imported(PURE_MODULES, lambda found: found.within(PACKAGES) and not found.within(allowed), "imports"))


def test_pure_modules_keep_no_state():
    none(module.at(node, what) for module in PURE_MODULES for node, what in _changes_of_globals(module))


def _changes_of_globals(module: Module) -> Iterator[tuple[ast.AST, str]]:
    names = {name.id for node in module.tree.body for target in _targets(node) for name in ast.walk(target)
             if isinstance(name, ast.Name)}
    for function in (node for node in ast.walk(module.tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))):
        local = {name.id for name in ast.walk(function)
                 if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
        local |= {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield node, f"changes {', '.join(node.names)}"
            elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
                for target in _targets(node):
                    if _root(target) in names - local:
                        yield node, f"changes {_root(target)}"
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS \
                    and _root(node.func) in names - local:
                yield node, f"changes {_root(node.func)}"


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, (ast.Assign, ast.Delete)):
        return node.targets
    return [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else []


def _root(node: ast.AST) -> str:
    """The name at the bottom of `a.b[c].d`; '' for a plain name, which a function makes its own by assigning it."""
    plain = isinstance(node, ast.Name)
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) and not plain else ""


# Who may do what ------------------------------------------------------------------------------------------------------

def test_only_the_dashboard_wires_events():
    """`self.upload(...)` calls a method of one's own; `self.button.click(...)` and `gr.on(...)` wire."""
    none(module.at(node, f"wires {name}") for module in PAGE if module.name != "components.dashboard"
         for node, name in module.calls()
         if name.rpartition(".")[2] in EVENTS and name.rpartition(".")[0] not in ("", "self"))


def test_only_the_store_knows_the_files_of_a_run():
    none(module.at(node, f"names {node.value}") for module in PRODUCT if module.name != "unlearn_core.store"
         for node in ast.walk(module.tree) if isinstance(node, ast.Constant) and node.value in RUN_FILES)


def test_only_the_store_and_savers_write_files():
    none(module.at(node, f"calls {name}") for module in PRODUCT if not module.within(*WRITERS)
         for node, name in module.calls() if _writes(name) or _opens_to_write(node))


def _writes(name: str) -> bool:
    """Whether a call of that name changes files; what is asked of the store is the store's doing."""
    receiver, _, last = name.rpartition(".")
    return bool(receiver) and last in WRITES and receiver.rpartition(".")[2] != "store"


def _opens_to_write(call: ast.Call) -> bool:
    if _dotted(call.func).rpartition(".")[2] != "open":
        return False
    words = [node.value for node in [*call.args, *(keyword.value for keyword in call.keywords)]
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return any(re.fullmatch(r"[rwaxbt+]*[wax+][rwaxbt+]*", word) for word in words)


def test_only_the_runner_starts_threads():
    starts = {"Thread", "ThreadPoolExecutor", "ProcessPoolExecutor", "Process", "Pool", "Popen", "fork", "create_task",
              "start_new_thread"}
    calls = (module.at(node, f"calls {name}") for module in PRODUCT if module.name != "unlearn_core.runner"
             for node, name in module.calls() if name.rpartition(".")[2] in starts)
    processes = ("subprocess", "multiprocessing", "concurrent", "_thread")
    none([*calls, *imported(PRODUCT, lambda found: found.within(processes), "imports")])


def test_the_page_makes_no_connection():
    remote = re.compile(r"(?:https?:)?//(?!www\.w3\.org/|127\.0\.0\.1|localhost)[a-z0-9-]+\.[a-z]{2,}|@import")
    assets = [path for kind in ("*.css", "*.js") for path in (ROOT / "assets").glob(kind)]
    asked = (f"{path.relative_to(ROOT)} asks for {found[0]}" for path in [*assets, *(module.path for module in PAGE)]
             for found in remote.finditer(path.read_text(encoding="utf-8")))
    none([*imported(PAGE, lambda found: found.within(NETWORK), "imports"), *asked])


def test_nothing_unsafe_is_read_or_run():
    libraries = ("pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib")
    calls = {"eval", "exec", "torch.load", "torch.save", "numpy.load", "np.load", "os.system"}
    switches = {"trust_remote_code", "allow_pickle", "shell"}
    none([*imported(PRODUCT, lambda found: found.within(libraries), "imports"),
          *(module.at(node, f"calls {name}") for module in PRODUCT for node, name in module.calls() if name in calls),
          *(module.at(node, f"passes {keyword.arg}=True") for module in PRODUCT for node, _ in module.calls()
            for keyword in node.keywords if keyword.arg in switches
            and isinstance(keyword.value, ast.Constant) and keyword.value.value is True)])


# House style ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("package", [*PACKAGES, "app"])
def test_modules_open_by_saying_what_they_are(package):
    none(module.at(module.tree, "has no docstring") for module in MODULES.values() if module.within(package)
         if module.tree.body and not ast.get_docstring(module.tree))


def test_functions_are_short():
    none(module.at(node, f"{node.name} has {node.end_lineno - node.lineno + 1} lines") for module in MODULES.values()
         for node in ast.walk(module.tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
         if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION)


def test_public_functions_are_typed():
    none(module.at(node, f"{node.name} lacks types") for module in MODULES.values() for node in _public(module.tree)
         if (node.returns is None and node.name != "__init__")
         or any(argument.annotation is None for argument in _arguments(node)))


def _public(node: ast.AST) -> Iterator[ast.FunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            yield child
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _public(child)


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    found = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return found[1:] if found and found[0].arg in ("self", "cls") else found


def test_names_are_nouns_of_the_domain():
    none(module.at(module.tree, "has an empty name") for module in MODULES.values()
         if EMPTY_NAMES & set(re.split(r"[._]", module.name)))


def test_only_the_command_lines_print():
    none(module.at(node, f"calls {name}") for module in PRODUCT if module.path.stem not in ("__main__", "build", "app")
         for node, name in module.calls() if name in ("print", "sys.stdout.write"))


def test_no_failure_is_swallowed_unnamed():
    none(module.at(node, "catches everything") for module in MODULES.values() for node in ast.walk(module.tree)
         if isinstance(node, ast.ExceptHandler) and node.type is None)
