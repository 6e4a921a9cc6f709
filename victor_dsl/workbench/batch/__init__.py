"""The local batch engine: reads request lines and writes one output line for each, in bounded memory."""

from victor_dsl.workbench.batch.engine import Job, Tally, run_lines
from victor_dsl.workbench.batch.ledger import Ledger, LineDigests
from victor_dsl.workbench.batch.limits import Limited, Limits
from victor_dsl.workbench.batch.lines import Line, read_lines
from victor_dsl.workbench.batch.output import Output
from victor_dsl.workbench.batch.run_record import RunRecord, read_record, record_path, write_record

__all__ = [
    "Job",
    "Ledger",
    "Limited",
    "Limits",
    "Line",
    "LineDigests",
    "Output",
    "RunRecord",
    "Tally",
    "read_lines",
    "read_record",
    "record_path",
    "run_lines",
    "write_record",
]
