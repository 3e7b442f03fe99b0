"""Commands of this plugin, one a module; each is imported when it is called."""
