"""Commands of keepalivedctl, one file each; every file has a `command`."""
