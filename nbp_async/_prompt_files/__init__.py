"""Prompts as people keep them: files of text, tables, JSON and Markdown. Parsers do no I/O."""
