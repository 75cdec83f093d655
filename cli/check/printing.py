"""What came of a check as text, in the vocabulary's words."""

from cli.check.findings import Finding
from providers.kit.errors import PlatformError, platform_error
from schemas.error_words import VOCABULARY


def finding_line(finding: Finding) -> str:
    """Return what came of an account's check, a sentence."""
    return f"{finding.target}: {_text(finding)}"


def _text(finding: Finding) -> str:
    if finding.setting is not None:
        return finding.setting
    if finding.error is not None:
        return _described(finding.error)
    if finding.bug is not None:
        return f"bug: {VOCABULARY['bug'].meaning} ({finding.bug})"
    if not finding.is_asked:
        return "has nothing that could be asked without sending users"
    warnings = [_described(platform_error(word)) for word in finding.warnings]
    return "; ".join(["answers, and lets this token look up audiences", *warnings])


def _described(error: PlatformError) -> str:
    """Return an error in the vocabulary's words, with the platform's code and request id."""
    request = error.request_id and f"request {error.request_id}"
    facts = ", ".join(fact for fact in (error.platform_code, request) if fact)
    meaning = VOCABULARY[error.code]
    return f"{error.code}{f' ({facts})' if facts else ''}: {meaning.meaning} {meaning.remedy}"
