"""Images and a configuration → a plan: the same for one worker and for a thousand."""
