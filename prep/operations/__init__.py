"""What users ask for: plan, run, mean, verify, repair. The only room that knows all others."""
