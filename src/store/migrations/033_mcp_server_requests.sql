-- What a client of MCP can be asked by a server, as it declared when its session began.
alter table mcp_sessions add column asks jsonb not null default '[]';
