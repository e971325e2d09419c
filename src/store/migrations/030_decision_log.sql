-- How far the record was sent as OPA decision logs, and which replica sends. One row, made when sending is first configured.
create table decision_log_cursor (
  only_row boolean primary key default true check (only_row),
  -- The last entry that the sink has accepted, or that is none of its business.
  seq bigint not null,
  holder text not null default '',
  lease_until timestamptz not null default to_timestamp(0)
);
