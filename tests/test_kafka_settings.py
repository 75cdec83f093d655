import pytest

from streams.client.settings import KafkaSettings, kafka_properties
from streams.cluster.client_check import combination_faults
from streams.read.group_reader import group_properties


def test_variables_become_properties_of_the_client() -> None:
    environ = {
        "KAFKA_SASL_USERNAME": "ann",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_LINGER_MS": "3",
        "HOME": "/nowhere",
    }

    assert kafka_properties(environ) == (
        {"sasl.username": "ann", "security.protocol": "SASL_SSL", "linger.ms": "3"},
        [],
    )


def test_our_own_variables_and_empty_ones_are_no_properties() -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "a:1", "KAFKA_HOME": "/opt/kafka", "KAFKA_SASL_PASSWORD": ""}

    assert kafka_properties(environ) == ({}, [])


def test_what_container_platforms_inject_is_named_and_ignored() -> None:
    environ = {
        "KAFKA_PORT": "tcp://10.0.0.1:9092",
        "KAFKA_SERVICE_HOST": "10.0.0.1",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "KAFKA_LOGGER": "x",
        "KAFKA_OPAQUE": "x",
        "KAFKA_INTERCEPTORS": "x",
        "KAFKA_METADATA_BROKER_LIST": "elsewhere:9092",
        "KAFKA_DEFAULT_TOPIC_CONFIG": "x",
    }

    assert kafka_properties(environ) == ({}, sorted(environ))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_SECURITY_PROTOCOL", "hunter2"),
        ("KAFKA_LINGER_MS", "-5432"),
        ("KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION", "hunter2"),
        ("KAFKA_SASL_JAAS_CONFIG", "password=hunter2"),
        ("KAFKA_SOCKET_TIMEOUT_MS", "hunter2"),
    ],
)
def test_a_value_that_a_property_cannot_have_is_refused_without_repeating_it(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable) as refused:
        kafka_properties({variable: value})

    assert value not in str(refused.value)
    assert refused.value.__cause__ is None


def test_properties_stay_out_of_the_settings_repr() -> None:
    settings = KafkaSettings(bootstrap_servers="a:1", properties={"sasl.password": "hunter2"})

    assert "hunter2" not in repr(settings)


def test_overrides_win_over_the_users_properties_and_those_over_ours() -> None:
    settings = KafkaSettings(bootstrap_servers="a:1", properties={"log_level": "7", "acks": "1", "linger.ms": "9"})

    config = settings.client(acks="all")

    assert config == {"bootstrap.servers": "a:1", "log_level": "7", "linger.ms": "9", "acks": "all"}
    assert list(config)[-1] == "acks"


CONSUMER = {"group.protocol": "consumer"}


@pytest.mark.parametrize("protocol", ["consumer", "Consumer", "CONSUMER"])
def test_the_newer_group_protocol_is_known_in_any_case(protocol: str) -> None:
    own = {"group.protocol": protocol}

    assert combination_faults(own) == []
    config = group_properties(KafkaSettings(bootstrap_servers="a:1", properties=own))
    assert not {"session.timeout.ms", "partition.assignment.strategy"} & config.keys()


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        (
            {"group.protocol": "Consumer", "session.timeout.ms": "6543"},
            "KAFKA_SESSION_TIMEOUT_MS: not a client's to say with KAFKA_GROUP_PROTOCOL=consumer: "
            "the brokers do, by group.consumer.session.timeout.ms; leave it out",
        ),
        (
            CONSUMER | {"heartbeat.interval.ms": "6543"},
            "KAFKA_HEARTBEAT_INTERVAL_MS: not a client's to say with KAFKA_GROUP_PROTOCOL=consumer: "
            "the brokers do, by group.consumer.heartbeat.interval.ms; leave it out",
        ),
        (
            CONSUMER | {"partition.assignment.strategy": "range"},
            "KAFKA_PARTITION_ASSIGNMENT_STRATEGY: not a client's to say with KAFKA_GROUP_PROTOCOL=consumer: "
            "the brokers do; KAFKA_GROUP_REMOTE_ASSIGNOR names an assignor of theirs; leave it out",
        ),
        (
            {"session.timeout.ms": "600000"},
            "KAFKA_SESSION_TIMEOUT_MS: Kafka's client can't work with this and with max.poll.interval.ms as it is; "
            "correct it or leave it out",
        ),
        (
            {"max.in.flight": "10"},
            "KAFKA_MAX_IN_FLIGHT: Kafka's client can't work with this and with enable.idempotence as it is; "
            "correct it or leave it out",
        ),
        (
            {"security.protocol": "ssl", "ssl.ca.location": "/hunter2"},
            "KAFKA_SSL_CA_LOCATION: Kafka's client can't work with this; correct it or leave it out",
        ),
        ({"transactional.id": "hunter2"}, "KAFKA_TRANSACTIONAL_ID: our records are of no transaction; leave it out"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else "",
)
def test_properties_that_do_not_go_together_are_told_by_variable_without_their_values(
    properties: dict[str, str], told: str
) -> None:
    assert combination_faults(properties) == [told]


def test_what_goes_together_is_no_fault_and_nothing_is_fetched_to_find_out() -> None:
    login = {"security.protocol": "sasl_ssl", "sasl.username": "ann", "sasl.password": "made up"}
    oidc = {"sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"}

    assert combination_faults(login | {"sasl.mechanism": "SCRAM-SHA-512"}) == []
    assert combination_faults({"security.protocol": "sasl_ssl", **oidc}) == []
    assert combination_faults({"debug": "all", "session.timeout.ms": "6000"}) == []


def test_a_session_that_is_longer_than_a_join_may_take_makes_that_longer_too() -> None:
    def longest(**properties: str) -> object:
        own = {name.replace("_", "."): value for name, value in properties.items()}
        return group_properties(KafkaSettings(bootstrap_servers="x:1", properties=own)).get("max.poll.interval.ms")

    assert longest() == longest(session_timeout_ms="60000") == longest(session_timeout_ms="600000") == 60_000
    assert longest(session_timeout_ms="60001") == 60_001
    assert longest(max_poll_interval_ms="70000") == "70000"
    assert longest(group_protocol="consumer") is None
