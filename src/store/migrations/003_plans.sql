-- Change plans, accepted and refused. The artifact is here, so that every replica has it; the file in
-- PLANS_DIR is made from it. '' for a refused plan.
create table plans (
  id text primary key,
  -- '' when it was not an agent that planned.
  agent_id text not null,
  actor text not null,
  key_id text not null,
  status text not null check (status in ('accepted', 'refused')),
  goal text not null,
  paths text[] not null,
  diff_sha256 text not null,
  -- Why it was refused: [{code, message, source}]. JSON text.
  reasons text not null default '[]',
  artifact text not null default '',
  revision text not null,
  created_at timestamptz not null
);
create index plans_agent on plans (agent_id, id);
