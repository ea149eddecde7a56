"""What the demo sells and who orders it: a catalogue and 500 orders, made up."""
