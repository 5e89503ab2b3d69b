"""Training any network the same way (extra ``train``): epochs or steps, blends, logs, checkpoints."""
