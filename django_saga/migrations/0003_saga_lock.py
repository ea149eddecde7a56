import django.db.models.deletion
from django.db import migrations, models

import django_saga.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("django_saga", "0002_composed_sagas"),
    ]

    operations = [
        migrations.CreateModel(
            name="SagaLock",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("target", django_saga.models.fields.ExactCharField(max_length=200, verbose_name="target")),
                ("held", models.BooleanField(null=True, verbose_name="held")),
                (
                    "since",
                    models.DateTimeField(
                        help_text="Held since then, or asked for then.", verbose_name="since"
                    ),
                ),
                (
                    "saga",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="locks",
                        to="django_saga.sagainstance",
                        verbose_name="saga",
                    ),
                ),
            ],
            options={
                "verbose_name": "saga lock",
                "verbose_name_plural": "saga locks",
                "indexes": [models.Index(fields=["held", "since"], name="django_saga_lock_line")],
                "constraints": [
                    models.UniqueConstraint(fields=("target", "held"), name="django_saga_lock_holder"),
                    models.UniqueConstraint(fields=("saga", "target"), name="django_saga_lock_once"),
                ],
            },
        ),
    ]
