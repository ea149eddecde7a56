from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_saga", "0003_saga_lock"),
    ]

    operations = [
        migrations.AddField(
            model_name="sagastep",
            name="undo_result",
            field=models.JSONField(null=True, verbose_name="result of the compensation"),
        ),
    ]
