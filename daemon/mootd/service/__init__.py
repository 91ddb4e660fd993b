"""The service: what each request means to the engine, whoever asks and however the answer travels."""
