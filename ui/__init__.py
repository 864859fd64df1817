"""The pages: templates and what a browser loads with them. They present; they decide nothing."""
