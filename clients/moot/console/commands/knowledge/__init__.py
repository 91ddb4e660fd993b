"""What a project knows beside its issues: documents, memories, settings, and what agents are told."""
