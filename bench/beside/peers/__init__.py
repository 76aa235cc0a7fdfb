"""The clients, each as its own documents show it. A module runs where its client is installed."""
