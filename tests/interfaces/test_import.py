"""`victor import`: where the spec goes, what is printed, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

from tests.interfaces.conftest import Victor

CONFIG = """\
model_list:
  - model_name: main
    litellm_params: {model: gpt-4.1-mini, api_key: os.environ/KEY}
litellm_settings: {cache: true}
"""
SPEC = """\
# Imported from config.yaml by victor import litellm.
victor: 1
name: imported
models: {main: {type: openai, model: gpt-4.1-mini, api_key: "${env:KEY}"}}
settings: {model: main}
"""
LEFT = (
    "not taken: config.yaml:4: litellm_settings.cache: answers are not cached; providers' prompt caches are used "
    "(`prompt_cache` of a model)\n"
)


def test_the_spec_goes_to_stdout_and_what_was_not_taken_to_stderr(victor: Victor) -> None:
    Path("config.yaml").write_text(CONFIG)
    done = victor("import", "litellm", "config.yaml")
    assert (done.code, done.out, done.err) == (0, SPEC, f"{LEFT}1 thing not taken\n")


def test_a_spec_is_written_validates_and_is_replaced_only_on_request(victor: Victor) -> None:
    Path("config.yaml").write_text(CONFIG)
    done = victor("import", "litellm", "config.yaml", "--output", "new.yml")
    assert (done.code, done.out, done.err) == (0, "", f"{LEFT}wrote new.yml; 1 thing not taken\n")
    assert victor("validate", "new.yml").code == 0
    assert victor("fmt", "--check", "new.yml").code == 0
    again = victor("import", "litellm", "config.yaml", "--output", "new.yml")
    assert (again.code, again.err.splitlines()[0]) == (2, "error: new.yml exists; --overwrite replaces it")
    assert victor("import", "litellm", "config.yaml", "--output", "new.yml", "--overwrite").code == 0


def test_faults_of_the_file_and_of_the_arguments_are_one_line(victor: Victor) -> None:
    assert victor("import", "litellm", "none.yaml").err == "error: none.yaml: no such file or directory\n"
    assert victor("import", "litellm", "none.yaml").code == 1
    Path("bad.yaml").write_text("a: [\n")
    done = victor("import", "promptfoo", "bad.yaml")
    assert done.code == 1
    assert done.err.startswith("error: bad.yaml:")
    assert victor("import", "llama", "bad.yaml").code == 2
    Path("config.yaml").write_text("model_list: [{model_name: '*', litellm_params: {model: 'openai/*'}}]\n")
    done = victor("import", "litellm", "config.yaml", "-o", "new.yml")
    assert done.code == 1
    assert done.err.startswith("not taken: config.yaml:1: model_list[0].litellm_params.model: a pattern")
    assert not Path("new.yml").exists()


def test_what_the_compiler_refuses_is_left_out_with_its_line(victor: Victor) -> None:
    other = "  - {model_name: b, litellm_params: {model: gpt-5, temperature: 9, api_base: 'https://x'}}\n"
    Path("config.yaml").write_text(CONFIG.replace("litellm_settings", other + "litellm_settings"))
    done = victor("import", "litellm", "config.yaml", "--output", "new.yml")
    assert (done.code, victor("validate", "new.yml").code) == (0, 0)
    assert "not taken: config.yaml:4: models.b.settings.temperature: a spec cannot have it: " in done.err
    assert "temperature" not in Path("new.yml").read_text()


def test_a_model_at_an_impossible_address_is_left_out_as_a_whole(victor: Victor) -> None:
    Path("config.yaml").write_text(CONFIG.replace("api_key: os.environ/KEY", "api_base: nonsense"))
    done = victor("import", "litellm", "config.yaml", "--output", "new.yml")
    assert done.code == 1
    assert "not taken: config.yaml:2: models.main: a spec cannot have it: " in done.err
    assert done.err.endswith("error: config.yaml: no model in it can be one of a spec\n")
    assert not Path("new.yml").exists()


def test_no_key_is_copied_wherever_it_stands(victor: Victor) -> None:
    params = {
        "model": "gpt-4.1",
        "extra_headers": {"Authorization": "Bearer hunter2", "X-Team": "blue"},
        "extra_body": {"api_key": "hunter2", "a": {"token": "hunter2", "max_tokens": 5}},
    }
    at = {"model": "gpt-4.1", "api_base": "https://x/v1?api_key=hunter2"}
    models = [{"model_name": "b", "litellm_params": params}, {"model_name": "über\nus", "litellm_params": at}]
    Path("a\nvictor: 2.json").write_text(json.dumps({"model_list": models}, indent=1))
    done = victor("import", "litellm", "a\nvictor: 2.json", "--output", "new.yml")
    assert done.code == 0
    text = Path("new.yml").read_text()
    assert "hunter2" not in text + done.err
    assert "headers: {X-Team: blue}" in text
    assert "extra_body: {a: {max_tokens: 5}}" in text
    assert "# Model 'über us' is now 'ber-us'." in text
    lines = Path("a\nvictor: 2.json").read_text().splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if "ber\\nus" in text]
    assert f":{line}: models.ber-us: a spec cannot have it: base_url: must end with its path" in done.err
