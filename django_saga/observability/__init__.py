"""What is seen from outside: subscribers to signals. None of them can break a saga."""
