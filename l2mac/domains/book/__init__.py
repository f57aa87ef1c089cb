"""The book domain: prompts as data, and the finished book as one document."""
