"""The user's folders: the only code that reads or writes them."""
