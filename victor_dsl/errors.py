"""Every error that victor_dsl raises, and the exit code each one means.

    VictorError                  exit 3, unless said otherwise
    ├── SpecError                exit 1: the spec is at fault; carries its diagnostics
    ├── BrokenComponent          a component of an installed package cannot be imported, or lacks a part
    ├── UsageError               exit 2: the call is at fault
    ├── RequestError             exit 1: one request (or one line of a batch) is at fault
    ├── Refused                  the turn may not run: an unknown tenant, a closed orchestrator
    │   ├── Unauthenticated      the caller's key is missing or not valid
    │   └── LimitReached         a limit of the caller is used up
    ├── ComponentError           a live component failed
    │   ├── ProviderError        a settings layer could not be read
    │   ├── ContributorError     a piece of the system prompt could not be made
    │   ├── ToolError            a tool failed; the model gets the error, the turn goes on
    │   ├── StoreError           a session store, database or exporter failed
    │   ├── TimedOut             a turn exceeded its time limit
    │   └── ModelError           a model did not answer; `kind` says why
    ├── EmitError                the caller's own `emit` raised, for example because its client disconnected
    ├── BudgetError              the turn cannot fit the model's context window
    ├── LockError                exit 1: what the spec would run is not what `victor.lock` says
    └── SecretError              a secret or variable that the spec names is missing

Faults of a spec are diagnostics, collected and placed; `SpecError` only carries them to a Python caller.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

EXIT_OK = 0
EXIT_SPEC = 1
EXIT_USAGE = 2
EXIT_OUTSIDE = 3

ModelErrorKind = Literal[
    "authentication",  # 401, 402, 403: the key is wrong, or the account has no credit
    "rate_limited",  # 429: later, or another model
    "overloaded",  # 5xx, 529: later, or another model
    "timeout",  # no answer, or no next chunk, in time
    "unreachable",  # no connection
    "model_not_found",  # the server has no such model, or no longer: another model
    "bad_request",  # 400, 404, 422: this request will never do
    "context_length",  # the request is longer than the window
    "bad_response",  # an answer that is none: not JSON, half a stream, nothing at all
    "content_filter",  # the provider refused the content
    "circuit_open",  # not asked, because its last calls failed: another model
]

TimeLimit = Literal["connect", "first_token", "silence", "total"]
"""A time limit of a model's own configuration: for the connection, the first token, the silence after it, the whole answer."""


class VictorError(Exception):
    """An error that a person can act on: what was tried, on which node, what to do.

    `code` is the word that JSON output carries; `node` is the id of the node, such as `models/main`.

        try:
            reply = await app.chat("Hello!")
        except victor_dsl.VictorError as error:
            print(error.code, error.node, error)
    """

    code = "error"
    exit_code = EXIT_OUTSIDE

    def __init__(self, message: str, *, node: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.node}: " if self.node else ""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.message}{tail}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_init, (type(self), self.args), self.__dict__

    def to_dict(self) -> dict[str, Any]:
        """The error object of an output line: `{"code", "message"}`."""
        return {"code": self.code, "message": str(self)}


class SpecError(VictorError):
    """The spec has faults; `diagnostics` lists every one of them.

        try:
            victor_dsl.load("broken.yml")
        except victor_dsl.SpecError as error:
            for diagnostic in error.diagnostics:
                print(diagnostic.span.line, diagnostic.message, diagnostic.hint)

    `victor_dsl.compile` returns them instead.
    """

    code = "spec"
    exit_code = EXIT_SPEC

    def __init__(self, message: str, diagnostics: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


class BrokenComponent(VictorError):
    """A component of an installed package cannot be imported, or lacks a part that every component has."""

    code = "component"


class UsageError(VictorError):
    """A command or a Python call is used wrongly.

        try:
            victor_dsl.run("victor.yml", victor_dsl.Request(message="Hello!"), tenant="acme")
        except victor_dsl.UsageError as error:
            print(error.hint)

    Its hint says what to call instead.
    """

    code = "usage"
    exit_code = EXIT_USAGE


class RequestError(VictorError):
    """A request is malformed, or asks for what requests may not set.

        try:
            await app.chat("Hello!", settings={"temprature": 1})
        except victor_dsl.RequestError as error:
            print(error)

    The same request fails again.
    """

    code = "bad-request"
    exit_code = EXIT_SPEC


class Refused(VictorError):
    """The turn may not run.

        try:
            await app.chat("Hello!", tenant="acme")
        except victor_dsl.Refused as error:
            print(error.code, error.retry_after_s)

    `retry_after_s` says when it may, where that is known.
    """

    code = "refused"

    def __init__(
        self, message: str, *, node: str | None = None, hint: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, node=node, hint=hint)
        self.retry_after_s = retry_after_s

    def to_dict(self) -> dict[str, Any]:
        """The error object of an output line, with `retry_after_s` where that is known."""
        return _with_wait(super().to_dict(), self.retry_after_s)


class Unauthenticated(Refused):
    """The caller's key is missing or not valid, or does not allow what the request asks for.

        try:
            await app.chat("Hello!", api_key="vk_…")
        except victor_dsl.Unauthenticated as error:
            print(error)

    For a web app this is the status 401.
    """

    code = "unauthenticated"


class Limit(NamedTuple):
    """A limit of callers: its name in `settings.limits`, what it counts by (tenant, user, session or key), and whose it is.

    `subject` identifies whose it is, and `whose` is for people. `interval_s` is how long the limit takes to allow as much again as the
    refused turn asked for; `places` is the number of turns that may run at once, where that is the limit.
    """

    name: str
    per: str
    subject: str
    whose: str
    interval_s: float | None = None
    places: int | None = None


class LimitReached(Refused):
    """A limit of the caller is used up.

        try:
            await app.chat("Hello!")
        except victor_dsl.LimitReached as error:
            print(f"try again in {error.retry_after_s} s")

    For a web app this is the status 429. `limit` is None where no waiting helps: the turn is larger than the limit.
    """

    code = "limit-reached"

    def __init__(
        self,
        message: str,
        *,
        node: str | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(message, node=node, hint=hint, retry_after_s=retry_after_s)
        self.limit = limit


class ComponentError(VictorError):
    """A live component failed."""

    code = "component"


class ProviderError(ComponentError):
    """A provider could not be read, or its values are not valid settings."""

    code = "provider"


class ContributorError(ComponentError):
    """A contributor could not make its piece of the system prompt."""

    code = "contributor"


class ToolError(ComponentError):
    """A tool could not be called or failed. The model sees the message."""

    code = "tool"


class StoreError(ComponentError):
    """A session store, database or exporter could not read or write. `transient` says that it may pass by itself."""

    code = "store"

    def __init__(
        self, message: str, *, node: str | None = None, hint: str | None = None, transient: bool = False
    ) -> None:
        super().__init__(message, node=node, hint=hint)
        self.transient = transient


class TimedOut(ComponentError):
    """A turn exceeded its time limit.

        try:
            await app.chat("Hello!")
        except victor_dsl.TimedOut as error:
            print(error)

    The limit is that of the middleware `timeout`.
    """

    code = "timeout"


class ModelError(ComponentError):
    """A model did not give a usable answer.

        try:
            await app.chat("Hello!")
        except victor_dsl.ModelError as error:
            print(error.kind, error.status, "later" if error.transient else "never")

    `kind` is one of a few words; `status` is the HTTP status where there was one. Kinds in `TRANSIENT` may
    pass by themselves, so a retry is worth it. A fallback stands in for those in `STAND_IN`, which another model may not have.
    Of a request that is too long, `counted` is its input and `window` what is allowed, in tokens, where the server told.
    `usage`, a `values.message.Usage`, is what the failed call used, where that is known. `limit` is the spec's own time limit
    that ended the call, if one did. `in_tool_call` says that the answer broke off after it had begun to call a tool.
    """

    code = "model"
    TRANSIENT = frozenset({"rate_limited", "overloaded", "timeout", "unreachable", "bad_response"})
    STAND_IN = TRANSIENT | {"authentication", "model_not_found", "circuit_open"}

    def __init__(
        self,
        message: str,
        *,
        kind: ModelErrorKind,
        node: str | None = None,
        hint: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        counted: int | None = None,
        window: int | None = None,
        usage: Any = None,
        limit: TimeLimit | None = None,
        in_tool_call: bool = False,
    ) -> None:
        super().__init__(message, node=node, hint=hint)
        self.usage = usage
        self.limit = limit
        self.in_tool_call = in_tool_call
        self.kind: ModelErrorKind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.counted = counted
        self.window = window

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in self.TRANSIENT

    def to_dict(self) -> dict[str, Any]:
        """The error object of an output line, with the kind in its code: `model-rate_limited`."""
        return _with_wait({"code": f"model-{self.kind}", "message": str(self)}, self.retry_after_s)


class EmitError(VictorError):
    """The caller's `emit` raised, so the rest of the reply cannot be streamed; the cause is what it raised."""

    code = "emit"


class BudgetError(VictorError):
    """What must be sent does not fit the model's context window, or a stated budget."""

    code = "over-budget"


class LockError(VictorError):
    """What the spec would run is not what `victor.lock` says, or there is no such file."""

    code = "lock-drift"
    exit_code = EXIT_SPEC


class SecretError(VictorError):
    """A variable or file that the spec names is not there at run time."""

    code = "missing-secret"


def _without_init(kind: type[VictorError], args: tuple[Any, ...]) -> VictorError:
    """An error before its attributes are set: an unpickled one gets them from its state."""
    return kind.__new__(kind, *args)


def _with_wait(error: dict[str, Any], retry_after_s: float | None) -> dict[str, Any]:
    """An error object with the seconds after which to try again, where they are known."""
    return error if retry_after_s is None else {**error, "retry_after_s": round(retry_after_s, 3)}
