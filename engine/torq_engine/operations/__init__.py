"""What an operator needs around the engine: configuration, logs, audit, metrics, control, systemd, supervision."""
