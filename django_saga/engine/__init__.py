"""What carries sagas: starting, running attempts, recording outcomes, recovering from lost workers."""
