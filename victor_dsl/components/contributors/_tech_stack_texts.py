"""Guidelines by language and framework, as the `tech_stack` contributor adds them."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "python": """\
Python
- Annotate every function; prefer `X | None` and built-in generics. Model data with dataclasses or pydantic, not with bare dicts.
- Raise and catch specific exceptions; never use a bare `except:` or swallow an error. Chain with `raise … from error`.
- Open files, locks and connections with `with`. Give text files an `encoding`.
- No mutable default arguments and no work at import time. In `async` code, never block the event loop.
- Test with pytest; keep ruff and the type checker clean. Pin dependencies in a lock file.""",
    "typescript": """\
TypeScript
- Compile with `strict`. Prefer `unknown` to `any`, and narrow it; avoid `as` and `!` where a check can prove the type.
- Model alternatives as discriminated unions and end a `switch` over them with a `never` check.
- Validate data from outside (HTTP, JSON, environment) at the edge, with a schema; types alone check nothing at run time.
- Use `readonly` and `const`, named exports, and `import type` for types.
- Await or return every promise; handle rejections. Keep ESLint clean.""",
    "javascript": """\
JavaScript
- Write ES modules, `const` before `let`, never `var`; compare with `===`.
- Await or return every promise; use `Promise.all` for independent work, and handle rejections once, at a known place.
- Prefer `?.` and `??` to chains of `&&` and `||`: an empty text and 0 are values.
- Do not build HTML from strings of users; set `textContent`. Never use `eval`.
- Type with JSDoc where TypeScript is not used; keep ESLint clean.""",
    "react": """\
React
- Write function components and hooks; call hooks at the top level only, and list every dependency of an effect.
- Derive values while rendering; keep in state only what cannot be derived. An effect is for what lies outside React, and cleans up.
- Give list items stable keys from the data, not the index. Do not change props or state in place.
- Lift state to the nearest common parent; measure before you memoise.
- Use semantic elements, labels and keyboard access; test what users see and do.""",
    "node": """\
Node.js
- Read configuration from the environment once, validate it at the start, and fail with a clear message.
- Never block the event loop with synchronous or heavy work; stream large data and respect back-pressure.
- Set timeouts on every outgoing request; shut down on SIGTERM: stop accepting, finish, close.
- Let an unexpected error end the process; a supervisor restarts it. Log as JSON, without secrets.
- Commit the lock file, install with `npm ci`, and keep dependencies few.""",
    "rust": """\
Rust
- Return `Result` and pass errors on with `?`; no `unwrap` or `expect` outside tests but for what cannot happen, with the reason.
- Borrow in parameters (`&str`, `&[T]`, `&Path`); clone only where ownership is needed.
- Make wrong states unrepresentable with enums and newtypes; match exhaustively, without a catch-all `_` on enums of your own.
- Avoid `unsafe`; where it is needed, keep it small and state its invariants in a `// SAFETY:` comment.
- In async code hold no lock across an `.await`. Keep `cargo fmt` and `cargo clippy -D warnings` clean.""",
    "go": """\
Go
- Check every error; wrap it with `fmt.Errorf("…: %w", err)` and test it with `errors.Is` and `errors.As`. Do not panic in libraries.
- Take a `context.Context` as the first parameter where work can block, and honour its end.
- Know how every goroutine ends; guard shared state, and run tests with `-race`.
- Accept small interfaces, return structs. `defer` the closing of what was opened.
- Write table-driven tests. Keep `gofmt` and `go vet` clean, and the standard library first.""",
    "java": """\
Java
- Prefer immutable values: records, `final` fields, `List.of`. Use sealed types and `switch` patterns for alternatives.
- Return `Optional` where a result may be missing, never null; do not use it for fields or parameters.
- Close resources with try-with-resources. Catch specific exceptions, keep the cause, and never swallow `InterruptedException`.
- Use `java.time` for dates and `BigDecimal` for money. Override `equals` and `hashCode` together.
- Inject dependencies through constructors; test with JUnit 5. Log through SLF4J with placeholders.""",
    "kotlin": """\
Kotlin
- Use `val` and read-only collections; data classes for values, sealed classes with an exhaustive `when` for alternatives.
- Let the type say what may be null; use `?.`, `?:` and `requireNotNull`, and avoid `!!`.
- Launch coroutines in a structured scope, never in `GlobalScope`; rethrow `CancellationException`, and keep blocking calls on `Dispatchers.IO`.
- Scope functions (`let`, `apply`, `also`) for short, clear cases only; do not nest them.
- Keep ktlint or detekt clean.""",
    "swift": """\
Swift
- Prefer structs and enums with associated values to classes; `let` to `var`.
- Unwrap with `guard let` or `if let`; no forced unwrapping or `try!` outside tests.
- Use async/await and actors; mark what the main actor owns, send only `Sendable` values, and honour cancellation.
- Capture `self` weakly in closures that are kept. Throw typed errors that a caller can act on.
- Follow the API Design Guidelines: names read as phrases at the call.""",
    "csharp": """\
C#
- Enable nullable reference types and treat warnings as errors. Use records and `init` for values.
- Use `async` all the way down: no `.Result`, no `.Wait()`, no `async void` but for event handlers. Pass `CancellationToken` on.
- Dispose with `using` and `await using`. Catch specific exceptions and rethrow with `throw;`.
- Inject dependencies through constructors with the right lifetime; take `HttpClient` from `IHttpClientFactory`.
- Log with message templates, not interpolated strings. Do not enumerate an `IEnumerable` twice.""",
    "cpp": """\
C++
- Write C++20 or later with RAII: no raw `new` and `delete`; `std::unique_ptr` first, `std::shared_ptr` only for shared ownership.
- Pass `std::span` and `std::string_view` for reading, and mind how long what they point to lives.
- Be `const`-correct; mark single-argument constructors `explicit`; follow the rule of zero.
- Avoid undefined behaviour: check bounds, signed overflow and lifetimes; build tests with the address and undefined-behaviour sanitisers.
- Prefer the standard library's algorithms; compile with `-Wall -Wextra -Werror`.""",
    "c": """\
C
- Check every return value, allocations too; free once, on every path. One exit label for clean-up reads best.
- Carry a buffer's size with it; no `gets`, `strcpy` or `sprintf`; check the sizes in `memcpy` and arithmetic for overflow.
- Initialise variables; use `size_t` for sizes, fixed-width integers for formats, and `const` where nothing is written.
- Keep functions `static` unless they are the module's interface; document who owns a pointer.
- Compile with `-Wall -Wextra -Werror`; test with the address and undefined-behaviour sanitisers.""",
    "ruby": """\
Ruby
- Put `# frozen_string_literal: true` at the top. Prefer keyword arguments and small objects.
- Rescue specific errors, never `Exception`; use `ensure` or blocks to release what was opened.
- Prefer `map`, `select` and `each_with_object` to loops that change outer variables.
- In Rails: strong parameters, scopes and bound queries, `includes` against N+1, slow work in jobs.
- Test with RSpec or Minitest; keep RuboCop clean.""",
    "php": """\
PHP
- Begin files with `declare(strict_types=1);`; type parameters, returns and properties; write PHP 8.2 or later.
- Use prepared statements for SQL and escape output for its context; hash passwords with `password_hash`.
- Prefer readonly classes, enums and constructor injection to arrays and globals. Compare with `===`.
- Throw and catch specific exceptions; never silence errors with `@`.
- Follow PSR-12 and PSR-4, lock dependencies with Composer, and keep PHPStan clean.""",
    "scala": """\
Scala
- Prefer immutable values: case classes, `val`, enums or sealed traits with exhaustive matches.
- Use `Option` for what may be missing and `Either` for expected errors; no `null`, no `.get`, no thrown exceptions across an interface.
- Write Scala 3 syntax: `given` and `using`; keep implicit conversions out.
- Do not block inside a `Future` or an effect; wrap blocking calls explicitly.
- Keep expressions readable before clever; keep scalafmt and scalafix clean.""",
    "sql": """\
SQL
- Bind parameters; never put values into a statement by joining strings.
- Name the columns instead of `SELECT *`; qualify them in joins, and write joins explicitly.
- Say what is true in the schema: NOT NULL, foreign keys, CHECK and UNIQUE. Remember that comparing with NULL is neither true nor false.
- Index what is filtered and joined on, and read the query plan before tuning. Page by key, not by a large OFFSET.
- Migrations are small, go forward without locking large tables for long, and are tested on a copy. Never UPDATE or DELETE without WHERE.""",
    "shell": """\
Shell
- Begin with `#!/usr/bin/env bash` and `set -euo pipefail`; for plain `sh`, use POSIX features only.
- Quote every expansion: `"$name"`, `"$@"`. Use `[[ … ]]` and arrays in bash.
- Put `--` before file names from outside; never parse the output of `ls`, and never `eval` input.
- Make temporary files with `mktemp` and remove them with a `trap`.
- Keep shellcheck clean; past a hundred lines, use another language.""",
    "html": """\
HTML and CSS
- Use semantic elements, one `h1`, headings in order, labels for fields, `alt` for images; everything works with the keyboard.
- Write mobile first; lay out with grid and flexbox, in relative units, and respect `prefers-reduced-motion`.
- Text has a contrast of at least 4.5:1; colour is never the only sign.
- Keep styles in classes with low specificity; no `!important` and no inline styles.
- Give images their size, load late what is below the fold, and keep the page usable while scripts load.""",
    "terraform": """\
Terraform
- Pin the versions of providers and modules; commit the lock file. Keep state remote, locked and encrypted.
- Give variables types, descriptions and validation; mark secrets `sensitive`, and keep them out of code and defaults.
- Prefer `for_each` with stable keys to `count`. Move resources with `moved` blocks.
- Read the plan before applying it; nothing is changed by hand. Protect what holds data with `prevent_destroy`.
- Grant the narrowest permissions. Keep `terraform fmt`, `validate` and tflint clean.""",
    "docker": """\
Docker
- Build from small base images pinned by digest, in several stages; copy only what runs.
- Run as a user without root rights; put no secret into a layer, an argument or an ENV.
- Order layers from what changes least; keep a `.dockerignore`.
- One process for each container, in exec form, that ends on SIGTERM; declare a health check.
- Scan images, and rebuild them regularly.""",
}

ALIASES: Mapping[str, str] = {
    "py": "python",
    "ts": "typescript",
    "js": "javascript",
    "nodejs": "node",
    "rs": "rust",
    "golang": "go",
    "kt": "kotlin",
    "c#": "csharp",
    "c++": "cpp",
    "rb": "ruby",
    "bash": "shell",
    "css": "html",
}
"""Other names that people write."""
