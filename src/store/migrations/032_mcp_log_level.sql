-- What a client of MCP wants to hear of what a server logs, by session; null: nothing.
alter table mcp_sessions add column log_level text;
