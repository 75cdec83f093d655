"""The words for what goes wrong, which completions, answers and logs use: what each means, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Action = Literal["retry", "throttle", "reject", "stop"]
Scope = Literal["row", "record", "audience", "account"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row of the vocabulary: what we do, how far it reaches, what it means and what a person can do."""

    action: Action
    scope: Scope
    meaning: str
    remedy: str
    is_ambiguous: bool = False
    """Whether the platform may have done what it was asked all the same."""


# `audience errors` renders this into docs/errors.md.
VOCABULARY: Mapping[str, Meaning] = {
    # No answer, or none that says anything.
    "unreachable": Meaning(
        "retry", "account", "No connection could be made.", "Check the base URL, the network, the proxy."
    ),
    "no_answer": Meaning("retry", "account", "The connection ended, or its time, without an answer.", "Wait.", True),
    "gateway_error": Meaning("retry", "account", "Something in front of the platform answered.", "Wait.", True),
    "unexpected_answer": Meaning(
        "retry", "account", "The answer is not of the documented form.", "Wait; if it stays, report it to us.", True
    ),
    "address_refused": Meaning(
        "stop", "account", "The base URL leads to a private address.", "Correct it, or set <NAME>_ALLOW_PRIVATE=true."
    ),
    # The platform asks for time.
    "platform_error": Meaning("retry", "account", "The platform failed on its side.", "Wait."),
    "maintenance": Meaning("retry", "account", "The platform is being maintained.", "Wait."),
    "restricted": Meaning("retry", "account", "The platform forbids such calls for a time.", "See its messages; wait."),
    "throttled": Meaning("throttle", "account", "Too many calls.", "Wait, or set a slower <NAME>_PACE."),
    "busy": Meaning("retry", "audience", "The audience is being processed.", "Wait."),
    "removal_pending": Meaning(
        "retry", "audience", "An earlier removal of the audience is tried again later, and goes first.", "Nothing."
    ),
    "session_lost": Meaning("retry", "audience", "The upload session is over; the next one is opened.", "Nothing."),
    # A person has to act on the account.
    "token_invalid": Meaning("stop", "account", "The token is missing, wrong or expired.", "Set a new token."),
    "permission_missing": Meaning("stop", "account", "The token may not do this.", "Grant it the permission."),
    "terms_not_accepted": Meaning("stop", "account", "Terms wait for acceptance.", "Accept them on the platform."),
    "not_admitted": Meaning("stop", "account", "The app is not admitted to this API.", "Ask the platform to admit it."),
    "account_not_found": Meaning(
        "stop", "account", "The account does not exist, or is not the token's.", "Correct the account id."
    ),
    "account_blocked": Meaning("stop", "account", "The platform has blocked us.", "Ask the platform's support."),
    "api_version_ended": Meaning(
        "stop",
        "account",
        "The platform has ended the version of its API that we call.",
        "Set a newer one (FACEBOOK_API_VERSION, KLAVIYO_REVISION), or update us.",
    ),
    # The account, by what is ours.
    "provider_broken": Meaning(
        "stop", "account", "Our code failed on nearly every call; the log has its frames.", "Report it to us; update."
    ),
    "registry_unreachable": Meaning(
        "stop", "account", "The schema registry does not answer.", "Nothing on the platform: see to the registry."
    ),
    # Kafka, by its own word, which the log and `/readyz` have; also what uploads are refused by.
    "kafka_not_allowed": Meaning(
        "stop",
        "account",
        "Kafka does not let this process write to a topic.",
        "Grant its user Write and Describe on the topic that the log names.",
    ),
    "kafka_no_topic": Meaning(
        "stop", "account", "A topic of ours is not there.", "Start a process of ours again: it makes its topics."
    ),
    "kafka_refused": Meaning(
        "stop",
        "account",
        "Kafka refuses what we write; the log has its word.",
        "See to what Kafka names, such as a policy of the cluster.",
    ),
    "kafka_too_large": Meaning(
        "reject",
        "record",
        "A record is larger than Kafka takes, which is less than it should be.",
        "Set the topic's max.message.bytes to 1048588 or more, and no smaller KAFKA_MESSAGE_MAX_BYTES.",
    ),
    # One audience.
    "audience_gone": Meaning(
        "retry", "audience", "The audience was deleted.", "Nothing: it is made again for whoever is added."
    ),
    "audience_pending": Meaning("retry", "audience", "The audience is still being found or created.", "Nothing."),
    "audience_refused": Meaning("reject", "audience", "The audience can't be made or used.", "See the platform."),
    "audience_limit": Meaning("reject", "audience", "The account is full of audiences.", "Delete unused ones."),
    "audience_kind": Meaning(
        "reject",
        "audience",
        "An audience of this name is of another kind, with values or without.",
        "Use another name, or delete it on the platform.",
    ),
    "name_taken": Meaning(
        "reject", "audience", "The name belongs to an audience of the other type.", "Use another name, or that type."
    ),
    "job_pending": Meaning(
        "retry",
        "audience",
        "A job that the platform took before this removal has not ended, and would add people after it.",
        "Nothing: the removal is made once it has.",
    ),
    "removal_refused": Meaning(
        "reject",
        "audience",
        "The platform takes nobody out of this audience, for its size or state.",
        "See the audience there; who must leave at any price leaves by its deletion there.",
    ),
    # One record of the log.
    "undecodable": Meaning("reject", "record", "The record is not Avro of a known schema.", "Correct the publisher."),
    "quarantined": Meaning(
        "reject",
        "record",
        "Reading the record ends our process, so it is left alone.",
        "Correct the publisher; after an update of ours `audience replay --origin` tries it again.",
    ),
    "expired": Meaning("reject", "record", "The record left the log before it was delivered.", "Upload it again."),
    "transaction_open": Meaning(
        "retry",
        "record",
        "A publisher's transaction is open in the log before this record, which waits until it ends.",
        "See to the publisher: it must commit or abort; Kafka aborts after its transaction.timeout.ms.",
    ),
    "invalid_batch": Meaning("reject", "record", "The batch breaks a rule of the schema.", "Correct the publisher."),
    "cannot_remove": Meaning(
        "reject", "record", "We can't take people out of audiences of this platform.", "Take them out there."
    ),
    "no_hash_keys": Meaning(
        "reject",
        "record",
        "Nobody can be removed, as there is no key to remember by who was.",
        "Set AUDIENCE_HASH_KEYS for all processes, start them again, and replay the removal.",
    ),
    # Rows that a call held.
    "request_refused": Meaning(
        "reject", "row", "The platform refuses rows; if it does not say which, smaller calls find out.", "Correct them."
    ),
    "unisolated": Meaning(
        "retry",
        "row",
        "Among these users are some that the platform refuses; which is still being found out.",
        "Nothing: they are tried again.",
    ),
    "too_much_data": Meaning(
        "reject", "row", "The call was too large; it is sent in smaller ones.", "Report it to us."
    ),
    "not_isolated": Meaning(
        "reject",
        "row",
        "Among these users are some that the platform refuses; which could not be found out in time.",
        "Send fewer, or set a higher AUDIENCE_SEARCH_CALLS.",
    ),
    "partly_taken": Meaning(
        "reject", "row", "Some rows were taken; which is not said.", "Nothing: parts are sent again."
    ),
    "refused_by_platform": Meaning("reject", "row", "The platform did not take this user.", "Correct the field."),
    "bug": Meaning("reject", "row", "Our code failed; the log has its frames.", "Report it to us."),
    # Users that make no row.
    "no_identifier": Meaning(
        "reject",
        "row",
        "The user has nothing that this platform can match.",
        "Add an e-mail address or a phone number: names and postal codes alone identify nobody.",
    ),
    "not_an_email": Meaning("reject", "row", "This is not an e-mail address.", "Correct it."),
    "not_a_phone": Meaning(
        "reject", "row", "The phone number can't be read.", "Write +, country code and number, or add the country."
    ),
    "damaged_number": Meaning(
        "reject",
        "row",
        "A spreadsheet has cut the number's digits.",
        "Export the column as text from where it was kept.",
    ),
    "damaged_text": Meaning(
        "reject", "row", "A character was lost where the list was read or written.", "Export it again, as UTF-8."
    ),
    "hash_of_nothing": Meaning(
        "reject", "row", "The value is the hash of an empty cell.", "Leave empty cells out before hashing."
    ),
    "other_hash": Meaning(
        "reject",
        "row",
        "The value is hashed, but not as SHA-256.",
        "Hash it as SHA-256 in hexadecimal, or send it plain.",
    ),
    "placeholder": Meaning(
        "reject", "row", "The value stands for an empty cell, such as null.", "Leave empty cells out."
    ),
    "not_a_country": Meaning(
        "reject", "row", "The country can't be read.", "Write its code, such as DE, or its English name."
    ),
    "no_letters": Meaning("reject", "row", "Nothing that can be matched is left of the value.", "Correct it."),
    "hashed": Meaning("reject", "row", "The value is hashed; this platform takes it plain.", "Send it plain."),
    "too_long": Meaning("reject", "row", "The value is longer than the platform allows.", "Shorten it."),
    "too_large": Meaning("reject", "row", "The user is larger than the platform allows.", "Leave out what is long."),
    "other_currency": Meaning(
        "reject", "row", "The purchase is not in the audience's one currency.", "Convert it before uploading."
    ),
}

KAFKA_WORDS = frozenset(word for word in VOCABULARY if word.startswith("kafka_"))
"""Those for what Kafka refuses to take."""
