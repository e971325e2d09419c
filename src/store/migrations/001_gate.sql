-- Replicas hold a lease; what a replica has seen of the kill switch is part of it.
create table replicas (
  id text primary key,
  host text not null,
  version text not null,
  revision text not null default '',
  started_at timestamptz not null default now(),
  lease_until timestamptz not null,
  kill_epoch bigint not null default 0
);

-- One row. Whoever writes the ledger locks it first, so batches of all replicas run one after another.
create table ledger_head (
  only_row boolean primary key default true check (only_row),
  audit_seq bigint not null,
  audit_hash text not null,
  kill_epoch bigint not null,
  -- Ledger time never runs backwards, whatever the server's clock does.
  at timestamptz not null
);
insert into ledger_head values (true, 0, repeat('0', 64), 0, now());

-- A row engages the switch for what it names; '' stands for everything. Released rows are deleted.
create table kill_switches (
  agent text not null default '',
  tool text not null default '',
  upstream text not null default '',
  reason text not null,
  actor text not null,
  epoch bigint not null,
  engaged_at timestamptz not null,
  primary key (agent, tool, upstream)
);

create table audit_entries (
  seq bigint primary key,
  at timestamptz not null,
  kind text not null,
  agent_id text not null,
  tool text not null,
  effect text not null,
  action_id text not null,
  body text not null,
  prev_hash text not null,
  hash text not null
);
create index audit_entries_at on audit_entries (at);
create index audit_entries_agent on audit_entries (agent_id, seq);
create index audit_entries_tool on audit_entries (tool, seq);
create index audit_entries_action on audit_entries (action_id, seq) where action_id <> '';

create function audit_entries_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'audit_entries is append-only';
end
$$;
create trigger audit_entries_append_only before update or delete on audit_entries
  for each row execute function audit_entries_append_only();

create table audit_checkpoints (
  size bigint not null,
  head text not null,
  at text not null,
  key_id text not null,
  signature text not null,
  primary key (size, key_id)
);
create table audit_keys (
  key_id text primary key,
  public_key text not null,
  first_seen timestamptz not null default now()
);

create table agents (
  id text primary key,
  name text not null unique,
  owner text not null,
  roles text[] not null,
  status text not null check (status in ('initializing', 'active', 'paused', 'stopped', 'retired')),
  status_reason text not null default '',
  properties text not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table api_keys (
  id text primary key,
  role text not null check (role in ('agent', 'observer', 'approver', 'operator', 'admin')),
  name text not null,
  agent_id text references agents (id) on delete cascade,
  secret_hash text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  check ((role = 'agent') = (agent_id is not null))
);

create table actions (
  id text primary key,
  decision_id text not null,
  agent_id text not null,
  key_id text not null,
  tool text not null,
  upstream text not null,
  request text not null,
  request_hash text not null,
  target_hash text not null,
  effect text not null check (effect in ('allow', 'deny', 'require_approval')),
  state text not null check (state in ('held', 'executing', 'succeeded', 'failed', 'indeterminate',
    'denied', 'expired', 'cancelled')),
  fence integer not null default 0,
  replica_id text not null default '',
  revision text not null,
  -- What decided, for `explain`: reasons, shadow, trace. JSON text.
  explain text not null,
  error_code text not null default '',
  error_message text not null default '',
  -- What the upstream answered: {status, headers, body, truncated}. JSON text, '' until known.
  result text not null default '',
  -- Budget amounts held for this action: [{key, period_start, amount}]. JSON text.
  reserved text not null default '[]',
  idempotency_key text,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz
);
create unique index actions_idempotency on actions (agent_id, idempotency_key)
  where idempotency_key is not null;
create index actions_agent on actions (agent_id, id);
create index actions_open on actions (state, replica_id)
  where state in ('held', 'executing', 'indeterminate');

create table approvals (
  id text primary key,
  action_id text not null unique references actions (id),
  agent_id text not null,
  tool text not null,
  status text not null
    check (status in ('pending', 'approved', 'denied', 'expired', 'cancelled', 'failed')),
  request_hash text not null,
  target_hash text not null,
  revision text not null,
  quorum integer not null check (quorum > 0),
  approver_roles text[] not null,
  reason text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  decided_at timestamptz
);
create index approvals_pending on approvals (status, expires_at) where status = 'pending';

create table approval_votes (
  approval_id text not null references approvals (id),
  key_id text not null,
  -- The person or service behind the key: two keys of one name are one voice.
  approver text not null,
  vote text not null check (vote in ('approve', 'deny')),
  comment text not null,
  at timestamptz not null,
  primary key (approval_id, approver)
);

-- Sliding windows as sub-buckets: slot = floor(time / slot length); old slots are swept.
create table window_counts (
  key text not null,
  slot bigint not null,
  amount bigint not null check (amount >= 0),
  expires_at timestamptz not null,
  primary key (key, slot)
);
create index window_counts_expires on window_counts (expires_at);

create table window_members (
  key text not null,
  member text not null,
  last_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (key, member)
);
create index window_members_expires on window_members (expires_at);

-- Micro-units. The check is the last line: no code path can store more than the limit it was given.
create table budgets (
  key text not null,
  period_start date not null,
  limit_micros bigint not null,
  reserved bigint not null default 0 check (reserved >= 0),
  settled bigint not null default 0 check (settled >= 0),
  alerted_percent integer not null default 0,
  primary key (key, period_start),
  check (reserved + settled <= limit_micros)
);

create table alerts (
  id text primary key,
  type text not null,
  agent_id text not null default '',
  message text not null,
  details text not null default '{}',
  at timestamptz not null
);
create index alerts_at on alerts (at);

create table policy_revisions (
  revision text primary key,
  files text not null,
  first_loaded timestamptz not null default now()
);
