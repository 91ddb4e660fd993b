"""Who may do what on a machine: rules, their files, and what each request and answer is about."""
