"""The service that acts: a project of its own, with a database and a worker of its own."""
