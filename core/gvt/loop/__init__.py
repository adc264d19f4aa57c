"""The training loop: optimisers, schedules, averages, losses, evaluation, and who follows a run."""
