"""Whose a session is: the user's whom `auth` named, or the tenant's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.components.middleware.harness import hashed
from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.components.middleware.rate_limit import handler as rate_limits
from victor_dsl.components.models.openai.prompt_cache import CacheFields
from victor_dsl.components.models.pool import pool
from victor_dsl.runtime.coordinators import context, offered_tools
from victor_dsl.values.message import Message
from victor_dsl.values.request import API_KEY, Request
from victor_dsl.values.turn import Turn

SPEC = "models: {main: {type: given, context_window: 9000}}\nexporters: [given]\n"
AUTH = SPEC + "middleware: [{type: auth, keys: keys.json}]\n"
VARIANTS = "variants: {tone: {arms: {plain: {}, warm: {with: {settings: {temperature: 1}}}}}}\n"
ANN, BOB, SERVICE = ("vk_of-ann-0123456789abc", "vk_of-bob-0123456789abc", "vk_of-service-0123456789")


@pytest.fixture
def model(stage: Stage, tmp_path: Path) -> Says:
    owners = ((ANN, "ann"), (BOB, "bob"), (SERVICE, None))
    keys = [{"key_hash": hashed(key), "tenant_id": "acme", "user_id": user} for key, user in owners]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    stage.objects["exporters/given"] = Spy()
    model: Says = stage.objects.setdefault("models/main", Says(["x"]))
    return model


def asked(text: str, key: str | None, *, tenant: str | None = None, user: str | None = None) -> Request:
    metadata = {} if key is None else {API_KEY: key}
    return Request(message=text, session="s1", tenant=tenant, user=user, metadata=metadata)


def seen(turn: Turn) -> list[str]:
    return [message.text() for message in turn.messages]


async def test_a_user_with_anothers_session_id_begins_a_session_of_their_own(stage: Stage, model: Says) -> None:
    async with stage.orchestrator(AUTH) as orchestrator:
        for key in (ANN, BOB, ANN):
            await orchestrator.answer(asked(f"hi from {key[6:9]}", key))
    assert [seen(turn) for turn in model.turns] == [
        ["hi from ann"],
        ["hi from bob"],
        ["hi from ann", "x", "hi from ann"],
    ]


async def test_where_a_key_has_no_user_the_session_is_that_of_the_user_whom_the_request_names(
    stage: Stage, model: Says
) -> None:
    async with stage.orchestrator(AUTH) as orchestrator:
        await orchestrator.answer(asked("for ann", SERVICE, user="ann"))
        await orchestrator.answer(asked("for nobody", SERVICE))
        await orchestrator.answer(asked("from ann", ANN))
    assert [seen(turn) for turn in model.turns] == [["for ann"], ["for nobody"], ["for ann", "x", "from ann"]]


@pytest.mark.parametrize("sessions", ["{type: memory, shared: true}", "{type: sqlite, shared: true}"])
async def test_users_of_a_tenant_share_sessions_where_the_spec_says_so(
    stage: Stage, model: Says, sessions: str
) -> None:
    async with stage.orchestrator(AUTH + f"sessions: {sessions}\n") as orchestrator:
        await orchestrator.answer(asked("from ann", ANN))
        await orchestrator.answer(asked("from bob", BOB))
    assert seen(model.turns[1]) == ["from ann", "x", "from bob"]


async def test_without_auth_a_session_belongs_to_the_tenant_whatever_user_the_caller_names(
    stage: Stage, model: Says
) -> None:
    async with stage.orchestrator(SPEC) as orchestrator:
        for user in ("ann", "bob"):
            await orchestrator.answer(asked(f"from {user}", None, tenant="acme", user=user))
    assert seen(model.turns[1]) == ["from ann", "x", "from bob"]


async def test_rendering_shows_the_history_of_the_user_who_is_named(stage: Stage, model: Says) -> None:
    async with stage.orchestrator(AUTH) as orchestrator:
        await orchestrator.answer(asked("from ann", ANN))
        rendered = {
            user: await orchestrator.render(asked("and?", None, tenant="acme", user=user)) for user in ("ann", "bob")
        }
    assert {user: len(one.to_dict()["messages"]) for user, one in rendered.items()} == {"ann": 3, "bob": 1}


async def test_equal_session_ids_of_two_users_are_two_units(stage: Stage, model: Says) -> None:
    async with stage.orchestrator(AUTH + VARIANTS) as orchestrator:
        arms = {
            (user, number): (
                await orchestrator.answer(
                    Request(message="hi", session=f"s{number}", user=user, metadata={API_KEY: SERVICE})
                )
            ).variants["tone"]
            for user in ("ann", "bob")
            for number in range(20)
        }
    assert len(stage.objects["exporters/given"].of("exposure")) == 40
    assert any(arms["ann", number] != arms["bob", number] for number in range(20))


def remembered_under(turn: Turn) -> dict[str, object]:
    """The keys under which a session's compactions, tools, prompt cache, pool member and usage are remembered."""
    return {
        "compaction": context._key(turn, b""),
        "tools": offered_tools.Places(turn, None).key(0),
        "prompt cache": CacheFields(per_session=True).of(turn)["prompt_cache_key"],
        "pool": pool._session(turn),
        "rate limit": rate_limits._subject("session", turn),
    }


def test_what_is_remembered_of_a_session_is_remembered_for_its_user_alone() -> None:
    turn = Turn(id="t", session="s1", messages=(Message("user", "hi"),), tenant="acme", request=Request(session="s1"))
    keys = [remembered_under(turn.replace(session_user=user)) for user in ("ann", "bob", None)]
    for what in keys[0]:
        assert len({repr(one[what]) for one in keys}) == 3, what
