"""Tests of specs: what `victor test` and the pytest plugin run."""

from victor_dsl.workbench.spec_tests.recordings import FOLDER, BadRecording, Recordings
from victor_dsl.workbench.spec_tests.reports import failure_text, junit, result_line, summary
from victor_dsl.workbench.spec_tests.results import Failure, Result, Status, summary_json
from victor_dsl.workbench.spec_tests.running import Suite
from victor_dsl.workbench.spec_tests.selection import selecting
from victor_dsl.workbench.spec_tests.tape import Asking

__all__ = [
    "FOLDER",
    "Asking",
    "BadRecording",
    "Failure",
    "Recordings",
    "Result",
    "Status",
    "Suite",
    "failure_text",
    "junit",
    "result_line",
    "selecting",
    "summary",
    "summary_json",
]
