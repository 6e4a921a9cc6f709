"""Templates in the system prompt. What a template may do is tested with the sandbox."""

import asyncio
from pathlib import Path

import pytest

import victor_dsl
from tests.components.context import TURN, surroundings
from victor_dsl.components.contributors.template import Config, build
from victor_dsl.errors import ContributorError
from victor_dsl.language.kinds import Contributor
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings

ACME = TURN.replace(
    tenant="acme", user="ann", vars={"product": "Acme Cloud", "session": "mine"}, settings=Settings(temperature=0.3)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "prompts"


def from_file(folder: Path, **files: str) -> Contributor:
    for name, text in files.items():
        (folder / f"{name}.j2").write_text(text)
    texts = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return build(
        Config(path=str(folder / "base.j2")), surroundings(folder.parent, "contributors/template", files=texts).context
    )


def from_text(text: str, tmp_path: Path) -> Contributor:
    return build(Config(template=text), surroundings(tmp_path, "contributors/template").context)


async def test_a_template_sees_vars_and_the_turn(tmp_path: Path) -> None:
    text = "{{ product }} {{ session }} {{ tenant }} {{ user }} {{ settings.temperature }}\n"
    assert await from_text(text, tmp_path).contribute(ACME) == "Acme Cloud s1 acme ann 0.3"


async def test_each_turn_is_rendered_with_its_own_values(folder: Path) -> None:
    template = from_file(folder, base="{{ n }}")
    texts = await asyncio.gather(*[template.contribute(TURN.replace(vars={"n": n})) for n in range(20)])
    assert texts == [str(n) for n in range(20)]


async def test_an_empty_rendering_adds_nothing(tmp_path: Path) -> None:
    template = from_text("{% if tenant == 'acme' %}\nFor Acme.\n{% endif %}\n", tmp_path)
    assert await template.contribute(TURN) == ""
    assert await template.contribute(ACME) == "For Acme."


async def test_files_of_the_folder_may_be_included(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "tone.j2").write_text("Be kind.")
    template = from_file(
        folder,
        base="{% extends 'frame.j2' %}{% from 'm.j2' import hi %}{% block a %}{{ hi(product) }} "
        "{% include 'parts/tone.j2' %}{% include 'none.j2' ignore missing %}{% endblock %}",
        frame="<{% block a %}{% endblock %}>",
        m="{% macro hi(n) %}Hi {{ n }}.{% endmacro %}",
    )
    assert await template.contribute(ACME) == "<Hi Acme Cloud. Be kind.>"


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "parts/../../secret.txt", "/etc/passwd", "link.j2", "linked/secret.txt", "..\\\\secret.txt"],
)
async def test_no_file_outside_the_folder_is_read(folder: Path, name: str) -> None:
    (folder / "link.j2").symlink_to(folder.parent / "secret.txt")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "base.j2").write_text(f"{{% include '{name}' %}}")
    spec = folder.parent / "victor.yml"
    spec.write_text(
        "victor: 1\nname: s\nmodels: {main: {type: echo}}\ncontributors: [{type: template, path: prompts/base.j2}]\n"
    )
    (fault,) = victor_dsl.compile(spec).errors
    assert fault.message.endswith("is outside the template's folder")


async def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "link.j2").symlink_to(folder / "real.j2")
    assert await from_file(folder, base="{% include 'link.j2' %}", real="yes").contribute(TURN) == "yes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{% if %}", "prompts/base.j2:2: Expected an expression, got 'end of statement block'"),
        ("a\n{{ x | nothing }}", "prompts/base.j2:2: No filter named 'nothing'."),
        ("a\n\n{{ prodct }}", "prompts/base.j2:3: 'prodct' is undefined; did you mean 'product'? there are: product, "),
        ("{{ product.x }}", "prompts/base.j2:1: text has no 'x'"),
        ("a\n{{ 1 / 0 }}", "prompts/base.j2:2: division by zero"),
        ("a\n{{ ''.__class__ }}", "prompts/base.j2:2: templates have no `.__class__` of text"),
        ("a\n{% include 'bad.j2' %}", "prompts/bad.j2:2: 'y' is undefined"),
        ("a\n{% include 'broken.j2' %}", "prompts/broken.j2:1: "),
        ("a\n{% include 'nowhere.j2' %}", "prompts/base.j2:2: there is no template 'nowhere.j2'"),
        ("{% include 'base.j2' %}", "prompts/base.j2:1: is nested, or calls itself, too deeply"),
        (
            "{% for i in range(99999) %}x{% endfor %}",
            "prompts/base.j2:1: takes more than 200,000 units of work",
        ),
    ],
)
async def test_an_error_names_the_line_of_the_template(folder: Path, text: str, said: str) -> None:
    template = from_file(folder, base=text, bad="x\n{{ y }}", broken="{{")
    with pytest.raises(ContributorError) as caught:
        await template.contribute(ACME)
    assert str(caught.value).startswith(f"contributors/template: {said}")


async def test_a_missing_template_file_is_named(folder: Path) -> None:
    template = from_file(folder)
    with pytest.raises(ContributorError, match=r"prompts/base\.j2: there is no template 'base\.j2'"):
        await template.contribute(TURN)


async def test_lines_of_an_inline_template_are_counted_from_its_start(tmp_path: Path) -> None:
    with pytest.raises(ContributorError, match="contributors/template: template:2: 'x' is undefined"):
        await from_text("a\n{{ x }}", tmp_path).contribute(TURN)
    with pytest.raises(ContributorError, match="template:2: "):
        await from_text("a\n{% if %}", tmp_path).contribute(TURN)
    with pytest.raises(ContributorError, match="template:1: there is no template 'a'"):
        await from_text("{% include 'a' %}", tmp_path).contribute(TURN)


@pytest.mark.parametrize("config", [{}, {"path": "a.j2", "template": "a"}])
def test_a_template_has_one_source(config: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give either 'path' or 'template'"):
        Config.model_validate(config)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("template: |\n      a\n\n      {{ x }}", 9),
        ("template: |\n\n\n      {{ x }}", 9),
        ("template: >\n      a\n\n      {{ x }}", 6),
        ('template: "a\\n{{ x }}"', 6),
        ("template: '{{ x }}'", 6),
        ("template:\n      {{ x }}".replace("{{ x }}", '"{{ x }}"'), 7),
    ],
)
async def test_an_error_of_a_running_turn_names_the_line_of_the_spec(tmp_path: Path, written: str, line: int) -> None:
    spec = f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\nvars: {{y: {{a: 1}}}}\ncontributors:\n  - {written}\n    type: template\n"
    (tmp_path / "victor.yml").write_text(spec.replace("{{ x }}", "{{ 1 // (y.a - 1) }}"))
    async with victor_dsl.open(tmp_path / "victor.yml") as orchestrator:
        rendered = await orchestrator.render(Request(message="hi"))
    assert rendered.error is not None
    assert rendered.error.message.partition(" ")[0].endswith(f"victor.yml:{line}:")
    assert rendered.error.message.count("victor.yml") == 1
