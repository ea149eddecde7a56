"""What all apps share: a case is what a customer asked for, and a saga carries it through."""
