-- Moves with every ledger batch, also with one that leaves no entry: nothing guarded is written without it.
alter table ledger_head add column batch_no bigint not null default 0;
