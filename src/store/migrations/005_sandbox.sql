-- Scenarios played for an agent without any effect. `attempts` grows with each start, so that a late
-- writer is recognised.
create table sandbox_runs (
  id text primary key,
  agent_id text not null references agents (id) on delete cascade,
  name text not null,
  scenario text not null,
  status text not null check (status in ('queued', 'running', 'passed', 'failed', 'error')),
  attempts integer not null default 0,
  replica_id text not null default '',
  revision text not null default '',
  -- Step by step: [{tool, effect, reasons, expected, met}]. JSON text.
  steps text not null default '[]',
  error text not null default '',
  requested_by text not null,
  created_at timestamptz not null,
  queued_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz
);
create index sandbox_runs_agent on sandbox_runs (agent_id, id);
create index sandbox_runs_open on sandbox_runs (status) where status in ('queued', 'running');
