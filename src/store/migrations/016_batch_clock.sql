-- The lock of a batch in one call. Each statement of the function reads with a snapshot, and a clock, from
-- after the wait for the row. The batch's time is kept for the rest of the transaction, so that statements may
-- travel with the lock and still count by it; outside a batch there is none, and `ledger_now()` raises, which
-- keeps a statement whose batch was never begun from doing anything.
create function ledger_lock(
  out audit_seq bigint, out audit_hash text, out kill_epoch bigint, out at timestamptz, out switches json
) language plpgsql as $$
declare
  head record;
begin
  select h.audit_seq, h.audit_hash, h.kill_epoch, h.at into strict head from ledger_head h for update;
  audit_seq := head.audit_seq;
  audit_hash := head.audit_hash;
  kill_epoch := head.kill_epoch;
  at := greatest(head.at, date_trunc('milliseconds', clock_timestamp()));
  perform set_config('portcullis.now', at::text, true);
  select json_agg(k) into switches from kill_switches k;
end $$;

create function ledger_now() returns timestamptz language sql stable as
  $$ select current_setting('portcullis.now')::timestamptz $$;

-- For what must hold before a batch may commit, and is known only to the statement that wrote it.
create function ledger_require(ok boolean, message text) returns void language plpgsql as $$
begin
  if ok is not true then
    raise exception '%', message;
  end if;
end $$;
