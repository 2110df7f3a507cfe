"""What the end-to-end tests stand on: the fleet, the simulated internet, and real servers, each private to the run."""
