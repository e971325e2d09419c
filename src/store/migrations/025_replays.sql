-- What a decision was judged by beside its request, as JSON text; '' for actions of before this was kept. Unlike `explain` it
-- is of the first decision, also when an approved action was judged again.
alter table actions add column facts text not null default '';

-- Recorded decisions, decided again by another policy.
create table policy_replays (
  id text primary key,
  status text not null check (status in ('queued', 'running', 'finished', 'failed')),
  -- What is asked: {revision | files, from, to, agent, tool, effect, sample}. JSON text.
  asked text not null,
  requested_by text not null,
  attempts integer not null default 0,
  replica_id text not null default '',
  done bigint not null default 0,
  total bigint not null default 0,
  report text not null default '',
  error text not null default '',
  created_at timestamptz not null,
  queued_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz
);
create index policy_replays_open on policy_replays (status) where status in ('queued', 'running');
