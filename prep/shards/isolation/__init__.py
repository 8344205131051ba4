"""Images that crash the decoder, or keep it busy for ever, cost no more than themselves."""
