"""Self-contained HTML reports: the page, its charts and pictures, and the dataset report."""
