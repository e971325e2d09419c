-- A trigger for each row does not see TRUNCATE, and one of the whole table does not see it done to a week.
create function refuse_truncate() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end
$$;

do $$
declare
  week regclass;
begin
  create trigger no_truncate before truncate on audit_entries
    for each statement execute function refuse_truncate();
  for week in select inhrelid from pg_inherits where inhparent = 'audit_entries'::regclass loop
    execute format('create trigger no_truncate before truncate on %s
      for each statement execute function refuse_truncate()', week);
  end loop;
end
$$;
