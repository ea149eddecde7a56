from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_saga", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="sagainstance",
            name="graph",
            field=models.JSONField(
                help_text="The steps of a saga that was composed at run time.", null=True, verbose_name="graph"
            ),
        ),
    ]
