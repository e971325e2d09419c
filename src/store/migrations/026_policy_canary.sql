-- Policies on trial beside the live one, one at a time.
create table policy_canaries (
  id text primary key,
  revision text not null references policy_revisions (revision),
  -- What was live when it began, and is for as long as it runs.
  base text not null,
  mode text not null check (mode in ('compare', 'enforce')),
  percent integer not null check (percent between 1 and 100),
  -- Whom it is for and when it ends by itself: {agents, roles, abort_when}. JSON text.
  terms text not null,
  author text not null,
  note text not null,
  status text not null check (status in ('running', 'promoted', 'aborted', 'expired')),
  started_at timestamptz not null,
  until_at timestamptz not null,
  ended_at timestamptz,
  ended_by text not null default '',
  end_code text not null default '',
  end_reason text not null default ''
);
create unique index policy_canaries_running on policy_canaries ((true)) where status = 'running';
create index policy_canaries_started on policy_canaries (started_at);
create index policy_canaries_revision on policy_canaries (revision);

-- What was counted of decisions that both policies were asked about, in slots of ten seconds by the clock of the database;
-- slot 0 holds all of them.
create table policy_canary_counts (
  canary_id text not null references policy_canaries (id),
  slot bigint not null,
  change text not null,
  n bigint not null,
  denied_live bigint not null,
  denied_by_candidate bigint not null,
  newly_denied bigint not null,
  primary key (canary_id, slot, change)
);
