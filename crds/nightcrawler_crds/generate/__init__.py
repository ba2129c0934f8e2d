"""Made from the models: the custom resources, and the tables of their README."""
