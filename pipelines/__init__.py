"""Jobs on top of the models: extraction, training, evaluation, pictures and the command line."""
