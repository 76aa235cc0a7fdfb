"""The report's page: pictures as SVG from plain data, and the HTML around them. Runs nothing."""
