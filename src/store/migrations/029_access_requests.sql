-- An access request (AuthZEN's Access Request and Approval Profile) waits for people like an action does, but there is no action:
-- who asked enforces the answer, and an approval is something to show when it asks again.
alter table approvals alter column action_id drop not null;
alter table approvals add column origin text not null default 'action'
  check (origin in ('action', 'access_request'));
alter table approvals add constraint approvals_of_actions check ((origin = 'action') = (action_id is not null));
-- Stays when the approval is taken back.
alter table approvals add column approved_at timestamptz;

create table access_tasks (
  id text primary key,
  -- Who may go on with it, whichever of their keys they present.
  holder text not null,
  key_id text not null,
  idempotency_key text,
  body_hash text not null,
  is_bundle boolean not null,
  -- JSON, sealed: what the requester says of itself, what it asks for, and whom to call back.
  sealed text not null,
  has_callback boolean not null,
  created_at timestamptz not null,
  -- Until when it is answered.
  expires_at timestamptz not null
);
create unique index access_tasks_idempotency on access_tasks (holder, idempotency_key)
  where idempotency_key is not null;

create table access_items (
  approval_id text primary key references approvals (id),
  task_id text not null references access_tasks (id),
  position integer not null,
  -- A denial is asked for once.
  evaluation_id text not null unique,
  -- What the approval is known by outside.
  grant_id text not null unique,
  -- Keyed digest of subject, resource, action and the members of the context that the approval is for.
  bound_hash text not null,
  bound_context text[] not null,
  -- Whose own approval does not count: who is asked for, and who asks.
  voices text[] not null,
  -- RFC 8785 text of the request as it is on record.
  request text not null,
  -- JSON, sealed: what was asked, in clear.
  sealed text not null,
  valid_ms bigint not null,
  -- Not longer than this, whenever it is approved.
  requested_until timestamptz,
  used_at timestamptz,
  -- The decision that it was used for.
  used_by text not null default ''
);
create index access_items_task on access_items (task_id, position);
-- Uses that nobody was told of are taken back.
create index access_items_used on access_items (used_by) where used_by <> '';
