-- Answers to writes that came with an Idempotency-Key, sealed with the caller's own API key.
create table idempotent_answers (
  key_id text not null,
  key text not null,
  request_hash text not null,
  sealed text not null,
  at timestamptz not null,
  primary key (key_id, key)
);
create index idempotent_answers_at on idempotent_answers (at);

alter table api_keys add column expires_at timestamptz;
create index api_keys_agent on api_keys (agent_id) where agent_id is not null;

alter table agents
  add column description text not null default '',
  add column category text not null default '',
  -- '' for none, 'true' and 'false', or the name of a speciality.
  add column specialist text not null default '',
  add column version text not null default '',
  add column tags text[] not null default '{}',
  add column profile text not null default '',
  -- Where it came from: '<name>@<version>' of a template, SHA-256 of a signed manifest.
  add column template text not null default '',
  add column manifest_hash text not null default '',
  -- How many of its actions may be under way at once; null: no bound.
  add column instances integer check (instances >= 0),
  -- Micro-units; null: no bound of its own.
  add column monthly_budget bigint check (monthly_budget >= 0),
  add column per_action_limit bigint check (per_action_limit >= 0),
  add column thresholds integer[] not null default '{50,80,100}',
  add column started_at timestamptz,
  -- What a text is looked for in, in lower case.
  add column search text not null
    generated always as (lower(name || E'\n' || description || E'\n' || id)) stored;
update agents set started_at = created_at where status = 'active';
create index agents_roles on agents using gin (roles);
create index agents_tags on agents using gin (tags);
create index agents_category on agents (category, id) where category <> '';
create index agents_owner on agents (owner, id);
create index agents_status on agents (status, id);
create index actions_executing on actions (agent_id) where state = 'executing';

create table templates (
  id text primary key,
  name text not null,
  version integer not null check (version > 0),
  description text not null default '',
  config text not null,
  actor text not null,
  created_at timestamptz not null,
  unique (name, version)
);

-- The newest manifest seen for each agent name: an older one is a replay, even after the agent is gone.
create table manifests (
  name text primary key,
  version bigint not null,
  hash text not null,
  key_id text not null,
  at timestamptz not null
);

-- What agents report having done themselves, with its cost.
create table reports (
  id text primary key,
  agent_id text not null,
  type text not null,
  target text not null,
  cost bigint not null check (cost >= 0),
  outcome text not null check (outcome in ('success', 'failure')),
  metadata text not null default '{}',
  at timestamptz not null
);
create index reports_agent on reports (agent_id, id);

create table agent_metrics (
  id text primary key,
  agent_id text not null,
  type text not null,
  value double precision not null,
  unit text not null default '',
  metadata text not null default '{}',
  at timestamptz not null
);
create index agent_metrics_agent on agent_metrics (agent_id, type, at);
create index agent_metrics_type on agent_metrics (type, at);

create index alerts_agent on alerts (agent_id, id);
