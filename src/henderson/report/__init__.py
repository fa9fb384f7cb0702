"""The summary in the style of lme4."""
