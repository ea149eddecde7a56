"""The packages that a user may leave out, and where they may be imported."""

# What runs these tests is there in any environment of theirs.
TEST_RUNNER: dict[str, set[str]] = {
    "pytest": {"django_saga.testing.plugin", "django_saga.testing.conformance"}
}

# Each with the modules of django_saga that may import it; nothing else imports those when Django starts.
ADAPTERS: dict[str, set[str]] = {
    "celery": set(),
    "confluent_kafka": {
        "django_saga.brokers.kafka",
        "django_saga.brokers.kafka_cluster",
        "django_saga.brokers.kafka_subscription",
    },
    "django_celery_beat": set(),
    "django_filters": set(),
    "django_prometheus": set(),
    "drf_spectacular": set(),
    "kombu": {"django_saga.brokers.rabbitmq"},
    "opentelemetry": set(),
    "orjson": set(),
    "prometheus_client": set(),
    "psycopg": set(),
    "pydantic": {"django_saga.dsl.pydantic_schema"},
    "pydantic_core": {"django_saga.dsl.pydantic_schema"},
    "redis": {"django_saga.brokers.redis"},
    "rest_framework": set(),
}
