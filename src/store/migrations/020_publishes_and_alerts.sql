-- Policies that wait for other people before they are published.
create table policy_publishes (
  id text primary key,
  revision text not null references policy_revisions (revision),
  base text not null,
  author text not null,
  note text not null,
  status text not null check (status in ('pending', 'published', 'denied', 'cancelled', 'stale', 'failed')),
  quorum integer not null,
  roles text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  decided_at timestamptz
);
create index policy_publishes_revision on policy_publishes (revision);

create table policy_publish_votes (
  publish_id text not null references policy_publishes (id),
  voice text not null,
  key_id text not null,
  approver text not null,
  vote text not null check (vote in ('approve', 'deny')),
  reason text not null,
  at timestamptz not null,
  primary key (publish_id, voice)
);

-- Who has seen an alert; null: nobody has said so.
alter table alerts add column acknowledged_at timestamptz;
alter table alerts add column acknowledged_by text not null default '';
create index alerts_open on alerts (id) where acknowledged_at is null;
