-- The record in weeks, so that an old week can be dropped whole. A row's place is its time, which never
-- runs backwards; `seq` is kept unique by the ledger head. What was there becomes the first partition.
drop trigger audit_entries_append_only on audit_entries;
drop index audit_entries_at;
drop index audit_entries_agent;
drop index audit_entries_tool;
drop index audit_entries_action;
alter table audit_entries drop constraint audit_entries_pkey;
alter table audit_entries rename to audit_entries_first;

create table audit_entries (
  seq bigint not null,
  at timestamptz not null,
  kind text not null,
  agent_id text not null,
  tool text not null,
  effect text not null,
  action_id text not null,
  body text not null,
  prev_hash text not null,
  hash text not null,
  primary key (seq, at)
) partition by range (at);
create index audit_entries_at on audit_entries (at);
create index audit_entries_agent on audit_entries (agent_id, seq);
create index audit_entries_tool on audit_entries (tool, seq);
create index audit_entries_kind on audit_entries (kind, seq);
create index audit_entries_action on audit_entries (action_id, seq) where action_id <> '';
-- Takes what no week was made for in time, rather than refusing to record.
create table audit_entries_rest partition of audit_entries default;

do $$
declare
  next_week timestamptz := (date_trunc('week', now() at time zone 'utc') + interval '7 days') at time zone 'utc';
begin
  if exists (select 1 from audit_entries_first) then
    execute format(
      'alter table audit_entries attach partition audit_entries_first for values from (minvalue) to (%L)',
      next_week
    );
  else
    drop table audit_entries_first;
  end if;
end
$$;

create trigger audit_entries_append_only before update or delete on audit_entries
  for each row execute function audit_entries_append_only();

-- Signed statements that everything up to an entry was dropped because it was old enough.
create table audit_archives (
  size bigint primary key,
  head text not null,
  at text not null,
  key_id text not null,
  signature text not null
);
