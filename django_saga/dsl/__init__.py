"""How sagas are written: classes, steps, schemas, and the registry that knows them all."""
