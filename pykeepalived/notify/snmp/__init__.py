"""SNMP by AgentX (RFC 2741): a small subagent, and files that map the tables of the MIBs to what the daemon knows."""
