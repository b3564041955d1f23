"""The activities as the workflows see them, one module for each business process."""
