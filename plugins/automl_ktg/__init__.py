"""Knowledge-transfer graphs."""
