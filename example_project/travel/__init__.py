"""A travel agency: trips of a flight, a hotel and a car, and the saga that books all three or none."""
