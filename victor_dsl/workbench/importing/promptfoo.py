"""promptfoo's configuration as a spec: a prompt, its providers, and its tests."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from glob import glob
from typing import Any

from attrs import define, field, frozen

from victor_dsl.errors import SpecError
from victor_dsl.source.json_text import compose as compose_json
from victor_dsl.source.located import Located
from victor_dsl.source.yaml_text import compose as compose_yaml
from victor_dsl.workbench.importing.assertions import Assertion, expectations, test_fault
from victor_dsl.workbench.importing.endpoints import (
    ENDPOINTS,
    Reference,
    azure,
    hosted,
    reference,
    variable,
    variable_name,
    without_keys,
)
from victor_dsl.workbench.importing.langfuse import TOOLS
from victor_dsl.workbench.importing.prompts import Prompt, texts_of, without_empty
from victor_dsl.workbench.importing.sources import Imported, Section, beside, name_of, plain, read_document, read_text

ALIASES = {"google": "gemini", "togetherai": "together_ai", "fireworks": "fireworks_ai"}
API_WORDS = frozenset({"chat", "messages", "completion", "responses", "embeddings", "embedding"})
SETTINGS = {
    **{
        name: name
        for name in (
            "temperature",
            "top_p",
            "max_tokens",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "response_format",
            "reasoning_effort",
            "parallel_tool_calls",
        )
    },
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
}
RUNS = "it runs code or a program of its own; a spec has prompts as text"
CASES = "only cases in YAML and JSON are taken, and these are in another file"
ALL_HOLD = "all assertions must hold, and count alike"
EVALUATION = "it is about the run of an evaluation; a spec has none"


def read_promptfoo(path: str, wanted: str | None) -> Imported:
    """The spec of one prompt of a `promptfooconfig.yaml`, with its tests. Raises SpecError for one without a prompt that is text."""
    if path.lower().endswith((".js", ".ts", ".mjs", ".cjs", ".py")):
        raise SpecError(f"{path}: it is a program; write the configuration as YAML with `promptfoo export`, or by hand")
    imported = Imported()
    document = read_document(path, imported)
    return _Reader(imported, Section(document, "", imported), document, path).read(wanted)


@frozen
class _Text:
    """A prompt as promptfoo has it: its name, its text, and whether it is a template of messages."""

    name: str
    text: str
    at: Located


@define
class _Reader:
    imported: Imported
    top: Section
    document: Located
    path: str
    models: dict[str, Any] = field(factory=dict)

    def read(self, wanted: str | None) -> Imported:
        top, spec = self.top, self.imported.spec
        chosen = self._prompt(wanted)
        prompt = _as_messages(chosen, self.imported)
        for key in ("providers", "targets"):
            for located, place in top.items(key):
                self._add_provider(located, place)
        if not self.models:
            top.report("providers", "no provider could be taken: `echo` stands in, which answers with the user's words")
            self.models["main"] = {"type": "echo"}
        spec |= {"victor": 1, "name": "imported", **without_empty([("description", top.text("description"))])}
        spec |= {"models": self.models, "settings": {"model": next(iter(self.models))}}
        if len(self.models) > 1:
            spec["request"] = ["model"]
        spec |= prompt.spec()
        self.imported.notes += prompt.notes()
        if tests := self._tests(prompt):
            spec["tests"] = tests
        top.drop(
            EVALUATION,
            "outputPath",
            "evaluateOptions",
            "commandLineOptions",
            "sharing",
            "writeLatestResults",
            "tags",
            "metadata",
            "tracing",
            "derivedMetrics",
        )
        top.take("assertionTemplates")  # taken where an assertion refers to them
        top.drop("attacks are not made by victor", "redteam")
        top.drop(RUNS, "extensions", "nunjucksFilters", "transform")
        top.drop("set the variables where victor runs, or name a file with --env-file", "env")
        top.drop("write each scenario as a test", "scenarios")
        top.end()
        return self.imported

    # Prompts

    def _prompt(self, wanted: str | None) -> _Text:
        found: list[_Text] = []
        for located, place in self.top.items("prompts"):
            found += self._texts(located, place)
        if not found:
            raise SpecError(f"{self.path}: there is no prompt in it that is text", tuple(self.imported.not_taken))
        chosen = found[0] if wanted is None else next((one for one in found if one.name == wanted), None)
        if chosen is None:
            raise SpecError(
                f"{self.path}: there is no prompt '{wanted}'; there are {', '.join(one.name for one in found[:20])}"
            )
        for one in found:
            if one is not chosen:
                self.imported.report(
                    one.at.span,
                    f"prompt '{one.name}'",
                    f"a spec has one prompt: --prompt '{one.name}'; several are compared as arms of `variants`",
                )
        return chosen

    def _texts(self, located: Located, place: str) -> list[_Text]:
        name = ""
        if isinstance(located.value, dict):
            section = Section(located, place, self.imported)
            name = section.text("label") or section.text("id") or ""
            source = section.located("raw") or section.located("file") or section.located("id")
            section.drop("a prompt has no settings here; write them as `settings`", "config", "function")
            section.end()
            if source is None and name:
                return self._of_text(name, name, located, place)
            if source is None:
                return []
            located = source
        text = plain(located)
        if not isinstance(text, str):
            self.imported.report(located.span, place, "it is not a text")
            return []
        return self._of_text(name, text, located, place)

    def _of_text(self, name: str, text: str, located: Located, place: str) -> list[_Text]:
        file = text.removeprefix("file://")
        if "\n" in text or not (
            text.startswith("file://") or re.search(r"\.(txt|md|j2|json|ya?ml|py|js|ts|mjs|csv)(:\w+)?$", text)
        ):
            return [_Text(name or text[:40].strip(), text, located)]
        if re.search(r"\.(py|js|ts|mjs|cjs)(:\w+)?$", file):
            self.imported.report(located.span, place, RUNS)
            return []
        found = []
        for match in sorted(glob(beside(self.path, file))):
            try:
                pieces = read_text(match).split("\n---\n") if match.endswith(".txt") else [read_text(match)]
            except SpecError as error:
                self.imported.report(located.span, place, error.message)
                continue
            label = os.path.basename(match)
            found += [
                _Text(f"{name or label}{f'-{number}' if number > 1 else ''}", piece.strip("\n"), located)
                for number, piece in enumerate(pieces, 1)
                if piece.strip()
            ]
        if not found:
            self.imported.report(located.span, place, f"there is no file '{file}'")
        return found

    # Providers

    def _add_provider(self, located: Located, place: str) -> None:
        value = located.value
        if isinstance(value, dict) and "id" not in value and len(value) == 1:  # {openai:gpt-4: {config: …}}
            id, inner = next(iter(value.items()))
            section = Section(inner, place, self.imported)
        elif isinstance(value, dict):
            section = Section(located, place, self.imported)
            id = section.text("id") or ""
        else:
            section, id = Section(Located({}, located.span), place, self.imported), str(value)
        label, config = section.text("label"), section.section("config")
        item = _model(id, config, self.imported)
        if item is None:
            why = (
                RUNS
                if id.startswith(("file:", "exec:", "python:", "package:", "http"))
                else "no type of model speaks its API; servers with OpenAI's or Anthropic's API do"
            )
            self.imported.report(located.span, f"{place}: {id[:60]}", why)
            return
        _add_settings(item, config)
        config.drop(TOOLS, "tools", "functions", "tool_choice", "functionToolCallbacks")
        config.end()
        section.drop("prompts are of the whole spec", "prompts")
        section.drop(EVALUATION, "delay", "transform")
        section.end()
        self.models[name_of(label or item["model"], self.models, "model")] = item

    # Tests

    def _tests(self, prompt: Prompt) -> list[dict[str, Any]]:
        default = self.top.section("defaultTest")
        shared = self._assertions(default)
        cases = self._cases()
        default_vars = self._vars(default, prompt, None)
        grader = _grader(default, self.imported)
        default.end()
        made: list[dict[str, Any]] = []
        names: set[str] = set()
        for one in shared if not cases else ():
            self.imported.report(one.span, one.path, "there is no case that it could hold for")
        for located, place in cases:
            case = Section(located, place, self.imported)
            wanted = [*shared, *self._assertions(case)]
            values = {**default_vars, **self._vars(case, prompt, wanted)}
            name = _unique(case.text("description") or _named(values) or f"case {len(names) + 1}", names)
            expect = expectations(
                wanted, values, _grader(case, self.imported) or grader or next(iter(self.models)), self.imported
            )
            case.drop(EVALUATION, "options", "threshold", "metadata", "provider", "providers", "prompts")
            case.end()
            if not expect:
                self.imported.report(
                    located.span, place, "a test without an expectation that is taken: it would always pass"
                )
                continue
            test = {"name": name, "given": prompt.given(values), "expect": expect}
            if (fault := test_fault(test)) is not None:
                self.imported.report(located.span, place, fault)
                continue
            made.append(test)
        return made

    def _cases(self) -> list[tuple[Located, str]]:
        cases = []
        for located, place in self.top.items("tests"):
            if isinstance(located.value, dict):
                cases.append((located, place))
                continue
            file = str(plain(located)).removeprefix("file://")
            matches = sorted(glob(beside(self.path, file))) if file.endswith((".yaml", ".yml", ".json")) else []
            if not matches:
                self.imported.report(located.span, place, f"{CASES}: {file[:80]}")
            for match in matches:
                document = read_document(match, self.imported)
                listed = document.value if isinstance(document.value, list) else [document]
                for index, one in enumerate(listed):
                    if isinstance(one.value, dict):
                        cases.append((one, f"[{index}]"))
                    else:
                        self.imported.report(one.span, f"[{index}]", "it is not a map")
        return cases

    def _vars(self, case: Section, prompt: Prompt, wanted: list[Assertion] | None) -> dict[str, Any]:
        """The variables of a case; those that neither the prompt nor an assertion uses are reported, if these are known."""
        values: dict[str, Any] = {}
        used = str([one.value for one in wanted or ()])
        given = case.section("vars")
        for name in given.left():
            value = given.take(name)
            if (
                wanted is not None
                and name not in prompt.names
                and not re.search(rf"\{{\{{\s*{re.escape(name)}\b", used)
            ):
                given.report(name, "neither the prompt nor an assertion uses it")
            elif isinstance(value, str) and value.startswith("file://"):
                given.report(name, "it is the content of a file; write the text")
            elif isinstance(value, list):
                given.report(name, "of several values the first is taken; write a test for each (`each`)")
                value = value[0] if value else ""
            values[name] = value if isinstance(value, str) else str(value) if not isinstance(value, dict) else value
        return values

    def _assertions(self, section: Section) -> list[Assertion]:
        found: list[Assertion] = []
        for located, place in section.items("assert"):
            one = self._referred(located)
            if one is None or not isinstance(one.value, dict):
                self.imported.report(located.span, place, "it is no assertion")
                continue
            inner = Section(one, place, self.imported)
            if (type := inner.text("type") or "") == "assert-set":
                found += self._assertions(inner)
                inner.drop(ALL_HOLD, "threshold", "weight", "metric", "config")
                inner.end()
                continue
            found.append(
                Assertion(
                    {"type": type, **{key: inner.take(key) for key in ("value", "threshold")}}, located.span, place
                )
            )
            inner.drop(ALL_HOLD, "weight", "metric")
            inner.drop("the first model of the spec judges, with a prompt of victor's", "provider", "rubricPrompt")
            inner.drop(RUNS, "transform", "contextTransform", "config")
            inner.end()
        return found

    def _referred(self, located: Located) -> Located | None:
        """The value that a `$ref` inside the file names, else the value itself."""
        target = located.get("$ref")
        if target is None:
            return located
        steps = str(target.value).removeprefix("#/").split("/")
        found: Located | None = self.document
        for step in steps:
            found = None if found is None else found.get(step)
        return found


def _as_messages(chosen: _Text, imported: Imported) -> Prompt:
    """The prompt of a text: messages where it is a JSON or YAML list of them, else the user's one message."""
    prompt = Prompt()
    text = chosen.text.strip()
    document = compose_json(text, "prompt")[0] if text.startswith(("[", "{")) else None
    if document is None and re.match(r"-\s+role:", text):
        from_yaml = read_yaml(text)
        document = from_yaml
    found = document if document is None or isinstance(document.value, list) else document.get("messages")
    messages = found.value if found is not None and isinstance(found.value, list) else []
    roles = [plain(role) if (role := one.get("role")) is not None else None for one in messages]
    if not messages or not all(isinstance(role, str) for role in roles):
        if text.startswith("[") and "{%" in text:
            imported.report(chosen.at.span, chosen.name, "a template that writes JSON is taken as one text")
        prompt.add_template("user", chosen.text)
        return prompt
    within = Imported()
    for index, one in enumerate(messages):
        message = Section(one, f"{chosen.name}[{index}]", within)
        role = message.text("role") or ""
        content = message.located("content")
        said = None if content is None else texts_of(content, f"{message.path}.content", within)
        if said is None or role not in ("system", "developer", "user", "assistant"):
            imported.report(chosen.at.span, chosen.name, f"a message of role {role} with other parts than text")
            continue
        prompt.add_template(role, said)
        message.end()
    for fault in within.not_taken:  # their lines are those of the prompt, not of the file
        imported.report(chosen.at.span, fault.path, fault.why)
    return prompt


def read_yaml(text: str) -> Located | None:
    """The document of a prompt that is YAML."""
    return compose_yaml(text, "prompt")[0]


def _model(id: str, config: Section, imported: Imported) -> dict[str, Any] | None:
    provider, *rest = id.split(":")
    while len(rest) > 1 and rest[0] in API_WORDS:
        api, *rest = rest
        if api == "responses":
            rest = ["", *rest]
            break
    responses = bool(rest) and rest[0] == "" and len(rest) > 1
    model = ":".join(part for part in rest if part) or str(config.take("model") or "")
    provider = ALIASES.get(provider, provider)
    if not model or id.startswith(("http", "file:")) or "embedding" in id:
        return None
    key = config.text("apiKey")
    key_name = config.text("apiKeyEnvar")
    if provider in ("azure", "azureopenai"):
        host, version = config.text("apiHost"), config.text("apiVersion")
        if host is None:
            config.report("apiHost", "an Azure model needs its host: write `base_url`")
            address: str = reference("AZURE_BASE_URL")
        else:
            address = host if host.startswith("http") else f"https://{host}"
        return azure(
            model,
            address,
            version or "2024-10-21" if not isinstance(address, Reference) else version,
            _key(key, key_name or "AZURE_API_KEY", model, config),
        )
    if provider not in ENDPOINTS:
        return None
    item = hosted(provider, model)
    if responses:
        item["api"] = "responses"
    for name in ("apiBaseUrl", "apiHost", "base_url"):
        if (base := config.text(name)) is not None:
            named = variable(base)
            if named is None and without_keys(base) is not None:
                config.report(name, "it has a password or key, and is not copied")
                named = variable_name(model, "base_url")
            item["base_url"] = reference(named) if named else base if base.startswith("http") else f"https://{base}/v1"
    if key is not None or key_name is not None:
        item["api_key"] = _key(key, key_name or ENDPOINTS[provider].key, model, config)
    del imported
    return item


def _key(key: str | None, name: str, model: str, config: Section) -> Reference:
    """A reference to the key's variable; one that is written in the file is not copied."""
    named = None if key is None else variable(key)
    if key is not None and named is None:
        name = name or variable_name(model, "api_key")
        config.report("apiKey", f"keys are not copied; set the variable {name}")
    return reference(named or name)


def _add_settings(item: dict[str, Any], config: Section) -> None:
    settings = {ours: config.take(theirs) for theirs, ours in SETTINGS.items() if theirs in config}
    if (stop := config.take("stop")) is not None:
        settings["stop"] = stop if isinstance(stop, list) else [stop]
    reasoning = config.section("reasoning")
    if (effort := reasoning.text("effort")) is not None:
        settings["reasoning_effort"] = effort
    reasoning.end()
    if "thinking" in config:
        settings["thinking"] = config.take("thinking")
    if isinstance(settings.get("response_format"), str):
        config.report("response_format", "it is the content of a file; write the schema")
        del settings["response_format"]
    if (organization := config.text("organization")) is not None and item["type"] == "openai":
        item["organization"] = organization
    item |= without_empty([("settings", settings)])


def _grader(section: Section, imported: Imported) -> str | None:
    """The model that judges; a foreign one is named in the report."""
    options = section.section("options")
    provider = options.take("provider")
    if provider is not None:
        imported.report(
            options.span,
            f"{options.path}.provider",
            "the first model of the spec judges (`judge.model`); add this one to `models`",
        )
    options.drop(EVALUATION, *options.left())
    return None


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {str(value)[:30]}" for name, value in list(values.items())[:3]).replace("\n", " ")


def _unique(name: str, names: set[str]) -> str:
    base, number = name, 1
    while name in names:
        number += 1
        name = f"{base} ({number})"
    names.add(name)
    return name
