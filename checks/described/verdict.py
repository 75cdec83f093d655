"""Whether an answer is one that the description has."""

from collections.abc import Iterator

from schemathesis import Response
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from checks.described.cases import MadeUp

CONFORMANCE = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def faults_of(case: MadeUp, response: Response) -> Iterator[str]:
    """Yield what is wrong with an answer, by operation and status; never what was sent or answered.

    Nothing here makes Kafka refuse records for good, so 500 is a bug of ours.
    """
    where = f"{case.operation.label}: {response.status_code}"
    if response.status_code == 500:
        yield f"{where}: a bug"
    try:
        case.validate_response(response, checks=CONFORMANCE)
    except FailureGroup as group:
        yield from (f"{where}: {type(failure).__name__}" for failure in group.exceptions)
