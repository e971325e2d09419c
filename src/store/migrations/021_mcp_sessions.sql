-- Sessions of MCP clients that speak a protocol which has them. Nothing is decided by one: it belongs to the holder of the
-- key that began it, and says which version was agreed upon.
create table mcp_sessions (
  id text primary key,
  holder text not null,
  server text not null,
  protocol text not null,
  client text not null,
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now()
);
create index mcp_sessions_holder on mcp_sessions (holder, used_at);
create index mcp_sessions_used on mcp_sessions (used_at);
