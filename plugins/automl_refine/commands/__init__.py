"""Commands that this plugin adds, one module each."""
