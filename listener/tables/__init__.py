"""Every table, and what is written to it. Each function runs inside the transaction of its caller, `store`."""
