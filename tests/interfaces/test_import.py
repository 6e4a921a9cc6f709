"""`victor import`: where the spec goes, what is printed, and how it fails."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.conftest import Victor

CONFIG = """\
model_list:
  - model_name: main
    litellm_params: {model: gpt-4.1-mini, api_key: os.environ/KEY}
litellm_settings: {cache: true}
"""
SPEC = """\
# Imported from config.yaml by `victor import litellm`.
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


def test_what_the_compiler_refuses_is_shown_with_the_spec(victor: Victor) -> None:
    Path("config.yaml").write_text(CONFIG.replace("api_key: os.environ/KEY", "api_base: nonsense"))
    done = victor("import", "litellm", "config.yaml")
    assert done.code == 1
    assert "error: line " in done.err
