"""LiteLLM's proxy configuration as a spec: its models, pools of endpoints, fallbacks and retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from victor_dsl.errors import SpecError
from victor_dsl.language.http_config import NAMES_A_KEY
from victor_dsl.source.located import Located
from victor_dsl.workbench.importing.endpoints import (
    ENDPOINTS,
    NEED_ADDRESS,
    Endpoint,
    Reference,
    azure,
    reference,
    variable,
    variable_name,
    without_keys,
)
from victor_dsl.workbench.importing.prompts import without_empty
from victor_dsl.workbench.importing.sources import Imported, Section, name_of, plain, read_document

SETTINGS = ("temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort")
STRATEGIES = {"simple-shuffle": "weight", "least-busy": "least_busy"}
LOGGING = "events go to `exporters` (console, jsonl, sqlite, postgres, websocket)"
CACHE = "answers are not cached; providers' prompt caches are used (`prompt_cache` of a model)"
REDIS = "limits and circuits count in each process"
CHAT_ONLY = "only chat models are models of a spec"
GATEWAY = "it is of the proxy's own keys, teams and pages; `auth` checks keys, and `tenants` are the teams"

OTHER_NAMES = {"ollama_chat": "ollama", "text-completion-openai": "completion", "mistralai": "mistral"}
OTHER_APIS = frozenset(
    {
        "bedrock",
        "bedrock_converse",
        "vertex_ai",
        "vertex_ai_beta",
        "sagemaker",
        "sagemaker_chat",
        "watsonx",
        "cohere",
        "cohere_chat",
        "replicate",
        "huggingface",
        "palm",
        "ai21",
        "completion",
        "text-completion-codestral",
        "databricks",
        "snowflake",
        "github_copilot",
        "oci",
        "triton",
    }
)
"""Providers whose models have another API than those of OpenAI and Anthropic."""


def read_litellm(path: str) -> Imported:
    """The spec of a `config.yaml`. Raises SpecError for a file without models that can be taken."""
    imported = Imported()
    top = Section(read_document(path, imported), "", imported)
    return _Reader(imported, top).read()


@define
class _Member:
    """One entry of `model_list`: its model, its weight, its place in the order, and its limits."""

    item: dict[str, Any]
    id: str | None
    weight: float | None
    order: float | None
    limits: dict[str, Any]


@define
class _Reader:
    imported: Imported
    top: Section
    groups: dict[str, list[_Member]] = field(factory=dict)
    names: dict[str, str] = field(factory=dict)
    """The spec's name of each model by LiteLLM's."""
    secrets: dict[str, str] = field(factory=dict)
    """The variable that stands in for each key that is written in the file."""

    def read(self) -> Imported:
        top = self.top
        for located, path in top.items("model_list"):
            self._add_model(Section(located, path, self.imported))
        if not self.groups:
            raise SpecError(f"{top.span.file}: no model in it can be one of a spec", tuple(self.imported.not_taken))
        litellm, router, general = (
            top.section(name) for name in ("litellm_settings", "router_settings", "general_settings")
        )
        spec = self.imported.spec
        spec |= {"victor": 1, "name": "imported", "models": self._models(router, litellm)}
        default = next(iter(self.names.values()))
        spec["settings"] = {
            "model": default,
            **without_empty([("fallbacks", self._fallbacks(default, router, litellm))]),
        }
        if len(self.names) > 1:
            spec["request"] = ["model"]
        retries = _first(router.number("num_retries"), litellm.number("num_retries"))
        if retries:
            spec["middleware"] = [{"type": "retry", "attempts": int(retries) + 1}]
        self.imported.notes += [f"Model '{old}' is now '{new}'." for old, new in self.names.items() if new != old]
        self._end(litellm, router, general)
        return self.imported

    # Models

    def _add_model(self, entry: Section) -> None:
        name, params, info = entry.text("model_name"), entry.section("litellm_params"), entry.section("model_info")
        model = params.text("model")
        if name is None or model is None:
            entry.report("model_name" if name is None else "litellm_params", "it names no model")
            entry.end()
            return
        mode = info.text("mode") or "chat"
        item = self._item(name, model, mode, params)
        if item is None:
            for section in (params, info, entry):
                for key in section.left():
                    section.located(key)  # the whole model is reported
            return
        self._add_fields(item, params, info)
        limits = without_empty(
            (ours, _first(params.number(theirs), entry.number(theirs)))
            for ours, theirs in (
                ("requests_per_minute", "rpm"),
                ("tokens_per_minute", "tpm"),
                ("concurrency", "max_parallel_requests"),
            )
        )
        member = _Member(item, info.text("id"), params.number("weight"), params.number("order"), limits)
        self.groups.setdefault(name, []).append(member)
        info.drop("it describes the model for LiteLLM's own pages and budgets", *info.left())
        params.end()
        entry.end()

    def _item(self, name: str, model: str, mode: str, params: Section) -> dict[str, Any] | None:
        """The model's type, name, address and key; None, reported, where a spec cannot have it."""
        provider, _, rest = model.partition("/") if "/" in model else ("", "", model)
        provider = params.text("custom_llm_provider") or provider
        provider = OTHER_NAMES.get(provider, provider)
        base_url = _first(params.text("api_base"), params.text("base_url"))
        version, key = params.text("api_version"), params.text("api_key")
        if (why := _no_chat_model(name, model, rest, mode)) is not None:
            params.report("model", why)
            return None
        if base_url is None and (provider == "azure" or provider in NEED_ADDRESS):
            params.report("model", f"a model of {provider} without `api_base`, which would be its `base_url`")
            return None
        address = None if base_url is None else self._value(base_url, name, "API_BASE", params, "api_base")
        if provider == "azure" and address is not None:
            version = None if version is None else self._value(version, name, "API_VERSION", params, "api_version")
            return azure(rest, address, version, self._secret(key or "os.environ/AZURE_API_KEY", name, params))
        endpoint = ENDPOINTS.get(provider)
        if provider in NEED_ADDRESS:
            endpoint = Endpoint("openai")
        elif endpoint is None and (provider == "" or (address is not None and provider not in OTHER_APIS)):
            endpoint = ENDPOINTS["anthropic" if model.startswith("claude") else "openai"]
            rest = model
        if endpoint is None:
            params.report(
                "model", f"no type of model speaks the API of '{provider}'; servers with OpenAI's or Anthropic's API do"
            )
            return None
        item: dict[str, Any] = {"type": endpoint.type, "model": rest}
        if mode == "responses":
            item["api"] = "responses"
        if address is not None and not isinstance(address, Reference):
            address = address.rstrip("/")
            address += "/v1" if provider == "ollama" and not address.endswith("/v1") else ""
        item |= without_empty([("base_url", address or endpoint.url)])
        if key is not None or endpoint.key:
            item["api_key"] = self._secret(key or f"os.environ/{endpoint.key}", name, params)
        return item

    def _add_fields(self, item: dict[str, Any], params: Section, info: Section) -> None:
        settings = {name: params.take(name) for name in SETTINGS if name in params}
        if "max_completion_tokens" in params:
            settings["max_tokens"] = params.take("max_completion_tokens")
        if (stop := params.take("stop")) is not None:
            settings["stop"] = stop if isinstance(stop, list) else [stop]
        if (organization := params.text("organization")) is not None and item["type"] == "openai":
            item["organization"] = self._value(organization, item["model"], "ORGANIZATION", params, "organization")
        for ours, theirs in (("timeout_seconds", "timeout"), ("first_token_seconds", "stream_timeout")):
            if (seconds := params.number(theirs)) is not None:
                item[ours] = seconds
        if "first_token_seconds" in item and item["first_token_seconds"] > item.get("timeout_seconds", 600):
            params.report("stream_timeout", "it is longer than `timeout`")
            del item["first_token_seconds"]
        window = _first(info.number("max_input_tokens"), info.number("context_window"))
        prices = {
            ours: _first(params.number(theirs), info.number(theirs))
            for ours, theirs in (
                ("input_usd_per_million", "input_cost_per_token"),
                ("output_usd_per_million", "output_cost_per_token"),
                ("cached_usd_per_million", "cache_read_input_token_cost"),
            )
        }
        item |= without_empty([("context_window", window)])
        item |= {name: round(price * 1_000_000, 6) for name, price in prices.items() if price is not None}
        for key in ("extra_headers", "headers"):
            if (headers := params.take(key)) is not None:
                given = {name: str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}
                plain_ones = {name: value for name, value in given.items() if not _has_key(name, value)}
                if given != plain_ones or not given:
                    left = ", ".join(name for name in given if name not in plain_ones) or "it"
                    params.report(key, f"{left}: a key is written as `api_key` with `api_key_header`")
                item |= without_empty([("headers", plain_ones)])
        if isinstance(body := params.take("extra_body"), dict):
            item["extra_body"] = body
        item |= without_empty([("settings", settings)])
        params.drop(
            "what a model refuses is left out of its requests without a setting",
            "drop_params",
            "additional_drop_params",
        )
        params.drop("retries are of the whole spec (`middleware: [{type: retry}]`)", "max_retries", "num_retries")
        params.drop("prompt caches are used by default (`prompt_cache`)", "cache_control_injection_points", "cache")

    def _models(self, router: Section, litellm: Section) -> dict[str, Any]:
        strategy = router.text("routing_strategy")
        if strategy is not None and strategy not in STRATEGIES:
            router.report(
                "routing_strategy", f"there is no '{strategy}'; pools choose by weight, `least_busy` or `order`"
            )
        by = STRATEGIES.get(strategy or "simple-shuffle", "weight")
        fails = _first(router.number("allowed_fails"), litellm.number("allowed_fails"))
        cooldown = _first(router.number("cooldown_time"), litellm.number("cooldown_time"))
        circuit = without_empty(
            [("failures", None if fails is None else min(max(int(fails), 1), 100)), ("open_seconds", cooldown or None)]
        )
        timeout = _first(router.number("timeout"), litellm.number("request_timeout"))
        models: dict[str, Any] = {}
        for name in self.groups:
            self.names[name] = name_of(name, {**models, **dict.fromkeys(self.names.values())}, "model")
        pooled = {name for name, members in self.groups.items() if len(members) > 1 or members[0].limits}
        for name, members in self.groups.items():
            ours = self.names[name]
            for member in members:
                if timeout is not None:
                    member.item.setdefault("timeout_seconds", timeout)
            if name not in pooled:
                models[ours] = members[0].item
                continue
            named: dict[str, _Member] = {}
            for number, member in enumerate(members, 1):
                taken = {**models, **named, **dict.fromkeys(self.names.values())}
                named[name_of(member.id if member.id and not member.id.isdigit() else f"{ours}-{number}", taken)] = (
                    member
                )
            models[ours] = self._pool(named, by, circuit)
            models |= {member_name: member.item for member_name, member in named.items()}
        if circuit and not pooled:
            router.report("cooldown_time", "it is for pools, and each model has one endpoint")
        return models

    def _pool(self, named: Mapping[str, _Member], by: str, circuit: dict[str, Any]) -> dict[str, Any]:
        weights = {name: member.weight for name, member in named.items() if member.weight}
        limits = {name: member.limits for name, member in named.items() if member.limits}
        members = list(named)
        if any(member.order is not None for member in named.values()):
            by = "order"
            members.sort(key=lambda name: named[name].order or 0)
        elif not weights and limits and by == "weight":  # LiteLLM's shuffle is weighted by rpm
            rates = {name: member.limits.get("requests_per_minute") for name, member in named.items()}
            weights = (
                {name: rate for name, rate in rates.items() if rate}
                if all(rates.values()) and len(set(rates.values())) > 1
                else {}
            )
        return {
            "type": "pool",
            "members": members,
            **({"by": by} if len(members) > 1 else {}),
            **without_empty(
                [
                    ("weights", weights if by != "order" and len(members) > 1 else None),
                    ("limits", limits),
                    ("circuit", circuit),
                ]
            ),
        }

    # Settings

    def _fallbacks(self, default: str, router: Section, litellm: Section) -> list[str]:
        """The default model's fallbacks; those of other models are reported."""
        found: dict[str, None] = {}
        sources = [
            (section, key)
            for section in (router, litellm)
            for key in ("fallbacks", "context_window_fallbacks", "default_fallbacks")
        ]
        for section, key in sources:
            for located, path in section.items(key):
                if not isinstance(located.value, dict):
                    self._add_fallback(found, located, path, default)
                    continue
                for model, others in located.value.items():
                    if self.names.get(model) != default:
                        self.imported.report(
                            located.span,
                            f"{path}.{model}",
                            "`fallbacks` are of the turn, whichever its model: these are another model's",
                        )
                        continue
                    for other in others.value if isinstance(others.value, list) else [others]:
                        self._add_fallback(found, other, path, default)
        for section in (router, litellm):
            section.drop("`fallbacks` also stand in for answers that a filter refused", "content_policy_fallbacks")
        return list(found)

    def _add_fallback(self, found: dict[str, None], other: Located, path: str, default: str) -> None:
        ours = self.names.get(str(plain(other)))
        if ours is None:
            self.imported.report(other.span, path, f"there is no model '{plain(other)}' in the spec")
        elif ours != default:
            found[ours] = None

    def _end(self, litellm: Section, router: Section, general: Section) -> None:
        litellm.drop(
            LOGGING,
            "callbacks",
            "success_callback",
            "failure_callback",
            "service_callbacks",
            "langfuse_default_tags",
            "turn_off_message_logging",
            "set_verbose",
            "json_logs",
            "store_audit_logs",
        )
        litellm.drop(CACHE, "cache", "cache_params", "enable_caching_on_provider_specific_optional_params")
        litellm.drop(
            "what a model refuses is left out of its requests without a setting", "drop_params", "modify_params"
        )
        litellm.drop(
            "budgets count per subject: `limits.cost_usd_per_day` with the middleware `rate_limit`",
            "max_budget",
            "budget_duration",
            "max_internal_user_budget",
        )
        litellm.drop(
            GATEWAY,
            "default_team_settings",
            "default_internal_user_params",
            "upperbound_key_generate_params",
            "default_user_params",
        )
        litellm.drop("nothing is sent to anybody", "telemetry")
        router.drop(
            REDIS, "redis_host", "redis_port", "redis_password", "redis_url", "redis_ssl", "redis_startup_nodes"
        )
        router.drop("the context is made to fit the model's window before each call", "enable_pre_call_checks")
        router.drop("name the model itself in the request", "model_group_alias")
        router.drop(
            "`retry` retries what can succeed later, and waits as long as the server asks",
            "retry_policy",
            "model_group_retry_policy",
            "retry_after",
            "allowed_fails_policy",
        )
        general.drop(
            "who may call is the middleware `auth`: its keys are made with their own secrets", "master_key", "salt_key"
        )
        general.drop(
            "sessions and events have their own databases (`databases`)",
            "database_url",
            "store_model_in_db",
            "database_connection_pool_limit",
            "database_connection_timeout",
            "store_prompts_in_spend_logs",
        )
        general.drop(LOGGING, "alerting", "alerting_threshold", "alert_types", "disable_spend_logs")
        general.drop(GATEWAY, *general.left())
        for section in (litellm, router):
            section.end()
        self.top.drop("set the variables where victor runs, or name a file with --env-file", "environment_variables")
        self.top.drop("import each of these files", "include")
        self.top.drop("an MCP server is an item of `tools`: {type: mcp, url: …}", "mcp_servers")
        self.top.drop("guards are `middleware`, such as `redact`", "guardrails")
        self.top.drop(
            "only chat is a spec's; other endpoints stay with LiteLLM",
            "finetune_settings",
            "files_settings",
            "vector_store_registry",
            "search_tools",
            "pass_through_endpoints",
        )
        self.top.end()

    # Secrets

    def _secret(self, value: str, model: str, params: Section) -> str:
        """A reference to the key's variable; one that is written in the file is not copied."""
        name = variable(value)
        if name is None:
            if value not in self.secrets:
                self.secrets[value] = variable_name(model, "api_key")
                if self.secrets[value] in [*self.secrets.values()][:-1]:
                    self.secrets[value] = variable_name(model, "api_key", str(len(self.secrets)))
            name = self.secrets[value]
            params.report("api_key", f"keys are not copied; set the variable {name}")
        return reference(name)

    def _value(self, value: str, model: str, what: str, params: Section, key: str) -> str:
        """A text, or a reference to the variable that it names; one with a key in it is not copied."""
        name = variable(value)
        if name is None and without_keys(value) is not None:
            name = variable_name(model, what)
            params.report(key, f"it has a password or key, and is not copied; set the variable {name}")
        return value if name is None else reference(name)


def _no_chat_model(name: str, model: str, rest: str, mode: str) -> str | None:
    """Why an entry is no chat model; None where it is one."""
    if "*" in name or "*" in model:
        return "a pattern stands for any model; a spec names each"
    if mode == "embedding" or "embed" in rest:
        return f"{CHAT_ONLY}; a model of embeddings is an item of `embedders`"
    if mode not in ("chat", "responses", "completion") or rest.startswith(("dall-e", "whisper", "tts-", "gpt-image")):
        return (
            f"{CHAT_ONLY}, and this is one of images or sound" if mode == "chat" else f"its mode is {mode}: {CHAT_ONLY}"
        )
    return None


def _has_key(name: str, value: str) -> bool:
    return bool(NAMES_A_KEY.search(name) or without_keys(value) or variable(value)) or name.lower() == "cookie"


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
