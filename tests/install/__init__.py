"""Does installing the wheel make the two drop-in modules ours, whatever the host? Real installs."""
