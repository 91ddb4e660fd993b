"""What lies in a workspace's folder for clients that may open no socket."""
