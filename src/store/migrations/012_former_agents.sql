-- Agents that were deleted, so that what they did is still found by their name.
create table former_agents (
  id text primary key,
  name text not null,
  owner text not null,
  deleted_at timestamptz not null
);
create index former_agents_name on former_agents (name, deleted_at);
